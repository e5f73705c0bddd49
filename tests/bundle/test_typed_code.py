"""`interactive_mode`: told by itself, and what was typed belongs to the bundle."""

import io
import subprocess
import sys
import tarfile
from types import ModuleType
from typing import Any

import pytest

import trouper
from harness.command import PATIENCE
from trouper.runtime.bundle._code import Code
from trouper.runtime.bundle._manifest import INTERACTIVE, BundleError
from trouper.runtime.bundle._session import is_session, typed_code

PROMPT = """
import trouper
env = trouper.TaskEnvironment("typed")

@env.task
async def look() -> tuple[bool, str]:
    ctx = trouper.ctx()
    return ctx.run_context.interactive_mode, ctx.version

class Shape:
    def area(self): return [4 for _ in "x"]

run = trouper.with_runcontext().run(look)
print("seen", *run.outputs())
print("told", *trouper.with_runcontext(interactive_mode=False).run(look).outputs())
from trouper.runtime.bundle._session import typed_code
print("typed", "look: its text was not kept" in typed_code().decode())
"""


def at_the_prompt(*options: str) -> list[list[str]]:
    """Return the words that a session has printed."""
    out = subprocess.run(
        [sys.executable, *options, "-"] if not options else [sys.executable, *options],
        input=PROMPT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return [line.lstrip(">. ").split() for line in out.stdout.splitlines()]


def test_a_prompt_is_recognised_and_a_program_from_a_pipe_is_none() -> None:
    seen, told, _ = at_the_prompt("-i", "-q")
    assert seen[:2] == ["seen", "True"]
    assert len(seen[2]) == 20
    assert told == ["told", "False"]
    assert at_the_prompt()[0] == ["seen", "False"]


def test_no_session_is_one_here() -> None:
    assert not is_session()


class Shell:
    """What IPython is asked for."""

    user_ns: dict[str, Any] = {"In": ["", "n = 1", "  ", "def body():\n    return n\n"]}  # noqa: RUF012  # of one test


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("IPython")
    vars(module)["get_ipython"] = Shell
    monkeypatch.setitem(sys.modules, "IPython", module)


def test_the_cells_of_a_notebook_are_the_code(notebook: None) -> None:
    assert is_session()
    assert typed_code() == b"# cell 1\nn = 1\n\n# cell 2\ndef body():\n    return n\n\n"
    made: dict[str, Any] = {}
    exec("def body(): ...", made)
    bundle = Code("body", [made["body"]], interactive=True).bundle()
    assert bundle.typed == typed_code()
    assert INTERACTIVE in [each.name for each in bundle.manifest.files]
    out = io.BytesIO()
    bundle.write(out)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        typed = tar.extractfile(INTERACTIVE)
        assert typed is not None
        assert typed.read() == typed_code()


def test_ipython_that_is_merely_imported_is_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("IPython")
    vars(module)["get_ipython"] = lambda: None
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert not is_session()


def test_definitions_of_main_are_the_code_at_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """With their text where Python has kept it; else another hash for other code."""
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)

    def typed(number: int) -> str:
        made: dict[str, Any] = {"__name__": "__main__", "env": trouper.TaskEnvironment("main")}
        code = f"@env.task\ndef task(): return [{number} for _ in 'x']\n"
        exec(f"{code}class Shape:\n    def area(self): return {number}\n", made)
        vars(main).update(made)
        return typed_code().decode()

    first = typed(1)
    assert "# Shape: its text was not kept" in first
    assert "# task: its text was not kept" in first
    assert typed(1) == first
    assert typed(2).splitlines()[0] != first.splitlines()[0]
    vars(main).clear()

    def kept() -> None: ...

    kept.__module__ = "__main__"
    vars(main).update(kept=kept, other=Shell, number=3)
    assert typed_code().decode().strip() == "def kept() -> None: ..."


def test_what_is_in_no_file_has_no_version_and_no_bundle() -> None:
    made: dict[str, Any] = {}
    exec("def body(): ...", made)
    code = Code("body", [made["body"]])
    assert code.version == ""
    with pytest.raises(BundleError, match=r"'body' was typed in .* interactive_mode=True"):
        code.bundle()
