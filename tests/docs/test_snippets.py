"""Every Python block of the README and the pages runs, and what it asserts holds."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from harness.pages import PAGES, ROOT, blocks

WITH_CODE = [page for page in PAGES if any(each.language == "python" for each in blocks(page))]


@pytest.fixture
def module(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The blocks of a page share the names of one module, as if they were one program."""
    page: Path = request.param
    made = ModuleType(f"page_{page.stem.replace('-', '_').lower()}")
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


@pytest.mark.parametrize(
    ("module", "page"),
    [(page, page) for page in WITH_CODE],
    indirect=["module"],
    ids=[page.stem for page in WITH_CODE],
)
def test_the_blocks_of_a_page_run_in_order(
    module: ModuleType, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        if block.language == "python":
            # So that a traceback names the page and its line.
            code = "\n" * (block.line - 1) + block.code
            exec(compile(code, str(page.relative_to(ROOT)), "exec"), vars(module))


def test_no_block_is_left_out_by_mistake() -> None:
    """A misspelt language would switch a test off."""
    known = {"python", "text", "sh", "toml", "yaml", "mermaid", "json"}
    strange = [
        f"{page.name}:{block.line} is {block.language!r}"
        for page in PAGES
        for block in blocks(page)
        if block.language not in known
    ]
    assert not strange
    assert len(WITH_CODE) > 8


@pytest.mark.parametrize("page", WITH_CODE, ids=[page.stem for page in WITH_CODE])
def test_what_a_page_shows_it_asserts(page: Path) -> None:
    """A page whose code asserts nothing shows nothing."""
    assert any("assert " in each.code for each in blocks(page) if each.language == "python")
