"""The tables of the pages against the code that they describe."""

from pathlib import Path
from typing import Any, cast

import attrs
import pytest

import trouper
from harness.pages import ROOT, anchors, table
from trouper.runtime import _face
from trouper.runtime._options import UNSET, ActorOptions, AnyOptions, Options, TaskOptions
from trouper.runtime.cli import main

DOCS = ROOT / "docs"


def names_of(rows: list[str]) -> list[str]:
    return [name.strip("`") for name in rows]


def test_the_reference_names_the_whole_face_in_one_line_each() -> None:
    public = {name for name in vars(_face) if not name.startswith("_")}
    rows = [
        row
        for part in (
            "Building and running",
            "Tasks that call tasks",
            "Assets",
            "Messages and failures",
            "Channels and time",
        )
        for row in table(DOCS / "reference.md", part)
    ]
    listed = names_of([row[0] for row in rows])
    assert sorted(listed) == sorted(public)
    assert all(row[1] for row in rows)


OPTIONS = {row[0].strip("`"): row for row in table(DOCS / "options.md", "Options of a node")}


def test_the_table_of_options_is_complete() -> None:
    assert set(OPTIONS) == set(AnyOptions.__annotations__)


def test_the_table_says_whose_option_each_is() -> None:
    tasks, actors = set(TaskOptions.__annotations__), set(ActorOptions.__annotations__)
    for name, row in OPTIONS.items():
        owner = {(True, True): "both", (True, False): "task", (False, True): "actor"}
        assert row[1] == owner[name in tasks, name in actors], name


def test_the_table_has_the_defaults_of_the_code() -> None:
    defaults = _defaults(Options) | _defaults(trouper.RestartPolicy)
    defaults["backoff"] = trouper.Backoff()
    for name, row in OPTIONS.items():
        if name in ("name", "depends_on", "type", "restart") or defaults[name] is UNSET:
            continue
        namespace: dict[str, Any] = {"Backoff": trouper.Backoff}
        assert eval(row[2].strip("`"), namespace) == defaults[name], name


def _defaults(cls: type) -> dict[str, Any]:
    return {field.name: field.default for field in attrs.fields(cast("Any", cls))}


def test_the_table_of_edges_is_complete() -> None:
    rows = {row[0].strip("`"): row for row in table(DOCS / "options.md", "Options of an edge")}
    assert set(rows) == set(_defaults(trouper.Edge))


@pytest.mark.parametrize("cls", [trouper.NodeReport, trouper.EdgeReport, trouper.WorkflowResult])
def test_the_tables_of_reports_are_complete(cls: Any) -> None:
    listed = [row[0].strip("`") for row in table(DOCS / "results.md", cls.__name__)]
    assert listed == list(cls.__struct_fields__)


def test_the_page_of_run_options_has_a_heading_for_every_option(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contract's page links to them, as in `run-options.md#--raw-data-path`."""
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["run", "--help"]) == 0
    panels = capsys.readouterr().out.partition("╭")[2]
    offered = {word for word in panels.split() if word.startswith("--")}
    described = {each for each in anchors(DOCS / "run-options.md") if each.startswith("--")}
    assert {"--raw-data-path", "--copy-style"} <= described
    assert {each for each in offered if not each.startswith("--no-")} == described
    opposites = {each.replace("--no-", "--") for each in offered - described}
    assert opposites <= described
    rows = table(DOCS / "command-line.md", "Options of run")
    assert {row[0].strip("`").split()[0] for row in rows} <= described


def test_the_readme_shows_the_monitor_as_it_stands_in_the_examples() -> None:
    program = Path(ROOT / "examples" / "workflow" / "monitor.py").read_text(encoding="utf-8")
    start = program.index("class Monitor(Actor):")
    body = program[start : program.index("\n\n\n", start)]
    assert "yield processed" in body
    assert body in (ROOT / "README.md").read_text(encoding="utf-8")
