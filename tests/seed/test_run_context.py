"""The page `run-context.md` from top to bottom: its own code, with `trouper` for its module."""

import runpy
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.pages import Block, blocks

PAGE = Path(__file__).with_name("run-context.md")


def snippets() -> list[Block]:
    return list(blocks(PAGE))


def as_ours(number: int) -> str:
    """Return the page's block of code, from 0, with our module in place of the original's."""
    return snippets()[number].code.replace("flyte", "trouper")


def run_program(folder: Path, *parts: str) -> dict[str, Any]:
    """Run code as a program, and return its names."""
    program = folder / "program.py"
    program.write_text("\n".join(parts), encoding="utf-8")
    return runpy.run_path(str(program), run_name="__main__")


def test_the_page_has_the_snippets_that_are_meant() -> None:
    starts = ("import flyte", "if __name__", "@env.task", "import wandb")
    assert [each.code.startswith(s) for each, s in zip(snippets(), starts, strict=True)] == [
        True
    ] * 4


def test_the_first_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "Configuring a run": the file runs twice, since a name is free once its run ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trouper, "init_from_config", lambda: None, raising=False)
    for _ in range(2):
        names = run_program(tmp_path, as_ours(0))
    run = trouper.with_runcontext(name="my-run").run(names["root"])
    assert run.name == "my-run"
    assert tuple(run.outputs()) == (42,)
