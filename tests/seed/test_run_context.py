"""The page `run-context.md` from top to bottom: its own code, with `trouper` for its module."""

import logging
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import trouper
from harness.buckets import Buckets, bucket_server, buckets, cloud_library
from harness.effects import (
    Effect,
    base_dir,
    calls_of_a_cached_task,
    executes,
    first_of_a_printed_line,
    in_a_task,
    leaves,
    levels_logged,
    of_action,
    of_context,
    of_first_action,
    of_run,
    raw_data,
    root_logger_changes,
    type_of_a_frame,
    version_is_computed,
)
from harness.pages import Block, blocks, table

__all__ = ["bucket_server", "buckets", "cloud_library"]

PAGE = Path(__file__).with_name("run-context.md")
PARAMETERS_OF_THE_PAGE = (
    "Execution target",
    "Storage",
    "Caching",
    "Identity and resources",
    "Logging",
    "Code bundling",
    "Context propagation",
)


def snippets() -> list[Block]:
    return list(blocks(PAGE))


def as_ours(number: int) -> str:
    """Return the page's block of code, from 0, with our module in place of the original's."""
    return snippets()[number].code.replace("flyte", "trouper")


def run_program(folder: Path, *parts: str) -> dict[str, Any]:
    """Run code as a program, in its folder, and return its names."""
    program = folder / "program.py"
    program.write_text("\n".join(parts), encoding="utf-8")
    return runpy.run_path(str(program), run_name="__main__")


def names_of_parameters() -> list[str]:
    return [row[0].strip("`") for part in PARAMETERS_OF_THE_PAGE for row in table(PAGE, part)]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_page_has_the_snippets_that_are_meant() -> None:
    starts = ("import flyte", "if __name__", "@env.task", "import wandb")
    assert [
        each.code.split("\n")[0].startswith(start)
        for each, start in zip(snippets(), starts, strict=True)
    ] == [True] * 4


# -- "Configuring a run with with_runcontext()" ---------------------------------------------------


def test_the_first_snippet_runs(tmp_path: Path) -> None:
    """The file runs twice, since a name is free once its run has ended."""
    run_program(tmp_path, as_ours(0))
    names = run_program(tmp_path, as_ours(0))
    run = trouper.with_runcontext(name="my-run").run(names["root"])
    assert run.name == "my-run"
    assert run.outputs() == (42,)
    assert [each.name for each in run.actions().walk()] == ["root", "root/process-1"]


def test_all_parameters_are_optional() -> None:
    """And the page's are all there are."""
    run = trouper.with_runcontext().run(inspect())
    assert run.phase == "completed"
    from trouper.runtime.tasks._parameters import RunParameters

    # Where a run is recorded, and in which process it goes on, is no matter of the page.
    given = {"mode", *RunParameters.__annotations__} - {"workspace", "isolate"}
    assert given == set(names_of_parameters())


OFFLOADING = """
import trouper

env = trouper.TaskEnvironment("offloading")

@env.task
async def root() -> trouper.io.File:
    return await trouper.io.File.asave("out.txt", "a large thing")
"""


def test_the_second_snippet_sends_all_offloaded_outputs_to_the_bucket(
    tmp_path: Path, buckets: Buckets
) -> None:
    """And no folder called `s3:` is made (F42)."""
    run_program(tmp_path, as_ours(0).partition("if __name__")[0], as_ours(1))
    assert buckets.keys("my-bucket") == []  # a number is no offloaded type
    run_program(tmp_path, OFFLOADING, as_ours(1))
    [key] = buckets.keys("my-bucket")
    assert key.startswith("runs/experiment-42/root-")
    assert key.endswith("/out.txt")
    assert not (tmp_path / "s3:").exists()


def test_the_second_snippet_names_the_extra_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F42: nothing runs, nothing is contacted, no folder is made."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(trouper.io.MissingExtra, match=r"pip install 'trouper\[cloud\]'"):
        run_program(tmp_path, OFFLOADING, as_ours(1))
    assert [each.name for each in tmp_path.iterdir()] == ["program.py"]


def test_raw_data_path_takes_a_local_path(tmp_path: Path) -> None:
    first = as_ours(0).partition("if __name__")[0]
    local = as_ours(1).replace("s3://my-bucket/runs/experiment-42/", str(tmp_path / "raw"))
    run_program(tmp_path, first, local)


# -- every parameter's effect (F30) ---------------------------------------------------------------


def variable(_context: Any) -> str | None:
    return os.environ.get("EFFECT")


EFFECTS = (
    Effect("project", "p", of_action("project"), None, "p"),
    Effect("domain", "d", of_action("domain"), None, "d"),
    Effect("name", "my-run", of_action("run_name"), "given", "my-run", beside={"name": "given"}),
    Effect("version", "v7", version_is_computed, True, False),
    Effect("version", "v7", of_context("version"), "v6", "v7", beside={"version": "v6"}),
    Effect("interruptible", True, of_run("interruptible"), None, True),
    Effect("interruptible", True, of_first_action("interruptible"), False, True),
    Effect("raw_data_path", "raw", raw_data, "made up", "raw"),
    Effect("preserve_original_types", True, type_of_a_frame, "trouper.io", "pandas"),
    Effect("run_base_dir", "base", base_dir, "made up", "base"),
    Effect("queue", "gpu", of_first_action("queue"), None, "gpu"),
    Effect("overwrite_cache", True, calls_of_a_cached_task, 0, 1),
    Effect("cache_lookup_scope", "run", calls_of_a_cached_task, 0, 1),
    Effect("disable_run_cache", True, calls_of_a_cached_task, 0, 1),
    Effect("disable_run_cache", True, of_context("disable_run_cache"), False, True),
    Effect("service_account", "robot", of_run("service_account"), None, "robot"),
    Effect("env_vars", {"EFFECT": "seen"}, in_a_task(variable), None, "seen"),
    Effect("labels", {"team": "ml"}, of_run("labels"), {}, {"team": "ml"}),
    Effect("annotations", {"a": "b"}, of_run("annotations"), {}, {"a": "b"}),
    Effect("log_level", logging.DEBUG, levels_logged, ["WARNING"], ["DEBUG", "WARNING"]),
    Effect("log_format", "json", first_of_a_printed_line, "text", "{"),
    Effect("reset_root_logger", True, root_logger_changes, True, False),
    Effect("copy_style", "none", version_is_computed, True, False),
    Effect("dry_run", True, executes, True, False),
    Effect("copy_bundle_to", Path("b.tgz"), leaves("b.tgz"), False, True, beside={"dry_run": True}),
    Effect("interactive_mode", True, of_run("interactive_mode"), False, True),
    Effect("custom_context", {"k": "v"}, of_context("custom_context"), {}, {"k": "v"}),
)
"""One row a parameter: its value, where it is looked at, what is seen without it and with it."""


@pytest.fixture
def queue_is_configured() -> None:
    trouper.init(queues={"gpu": 1})


@pytest.mark.usefixtures("queue_is_configured")
@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.parameter)
def test_every_parameter_has_an_effect_that_can_be_seen(effect: Effect) -> None:
    assert effect.observe({**effect.beside}) == effect.without
    assert effect.observe({**effect.beside, effect.parameter: effect.value}) == effect.expected


def test_no_parameter_of_the_page_is_left_out_of_the_table() -> None:
    """F30: 20 of 25 were accepted and ignored. `mode` has rules of its own."""
    seen = {each.parameter for each in EFFECTS}
    assert {"mode"} | seen == set(names_of_parameters())


# -- "Reading context inside a task with ctx()" ---------------------------------------------------


def inspect() -> Any:
    """Return the page's task `inspect_context`."""
    names: dict[str, Any] = {"trouper": trouper, "env": trouper.TaskEnvironment("page")}
    exec(as_ours(2), names)
    return names["inspect_context"]


def test_the_third_snippet_reads_the_context() -> None:
    run = trouper.with_runcontext(name="my-run").run(inspect())
    assert run.outputs() == ("run=my-run, action=inspect_context, mode=local, in_cluster=False",)
    assert trouper.ctx() is None


def test_fields_of_the_task_context() -> None:
    """Every field of the page's table, as it was given."""
    seen: dict[str, Any] = {}

    @trouper.TaskEnvironment("fields").task
    def look() -> None:
        context = trouper.ctx()
        for row in table(PAGE, "`TaskContext` fields"):
            name = row[0].strip("`()")
            seen[name] = getattr(context, name)

    trouper.with_runcontext(
        "local",
        version="v7",
        raw_data_path="raw",
        run_base_dir="base",
        custom_context={"k": "v"},
        disable_run_cache=True,
    ).run(look)
    assert seen.pop("is_in_cluster")() is False
    assert isinstance(seen.pop("action"), trouper.ActionID)
    assert seen == {
        "mode": "local",
        "version": "v7",
        "raw_data_path": "raw",
        "run_base_dir": "base",
        "custom_context": {"k": "v"},
        "disable_run_cache": True,
    }


def test_fields_of_the_action() -> None:
    """Every field of the page's table."""
    seen: dict[str, Any] = {}

    @trouper.TaskEnvironment("action").task
    async def look() -> None:
        action = trouper.ctx().action  # type: ignore[union-attr]  # in a task it is there
        for row in table(PAGE, "`ActionID` fields"):
            name = row[0].strip("`")
            seen[name] = getattr(action, name)

    trouper.with_runcontext(name="r", project="p", domain="d").run(look)
    assert seen == {"name": "look", "run_name": "r", "project": "p", "domain": "d", "org": None}


def test_the_fourth_snippet_names_an_external_run_after_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracked: list[tuple[str, Any]] = []

    class Tracker(ModuleType):
        def init(self, **given: Any) -> "Tracker":
            tracked.append(("init", given))
            return self

        def log(self, values: Any) -> None:
            tracked.append(("log", values))

        def finish(self) -> None:
            tracked.append(("finish", None))

    monkeypatch.setitem(sys.modules, "wandb", Tracker("wandb"))
    names: dict[str, Any] = {"trouper": trouper, "env": trouper.TaskEnvironment("page")}
    exec(as_ours(3), names)
    run = trouper.with_runcontext(name="tracked").run(names["train_model"], epochs=3)
    assert run.outputs() == (0.42,)
    init = {"project": "my-project", "name": "tracked", "config": {"epochs": 3}}
    assert tracked == [("init", init), ("log", {"loss": 0.42}), ("finish", None)]
