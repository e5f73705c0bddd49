"""The page `task-context.md`, sentence by sentence, where a workspace is needed for it.

What it says of tasks without one, and of actors, is in `test_task_context_page.py`.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.programs import EXAMPLES
from trouper import Task, TaskContext
from trouper.errors import StoreError

PAGE_TRAIN = """\
class Train(Task):
    async def execute(self, ctx: TaskContext) -> dict:
        dataset = ctx.find_asset("training-data")
        loss = 0.05
        ctx.set_result("final_loss", loss)
        ctx.artifact.save("metrics.json", {"loss": loss})
        ctx.log("train").append(f"loss={loss}")
        return {"loss": loss, "dataset": dataset.path if dataset else None}
"""


def page_train() -> Any:
    """Return the class as it stands on the page."""
    names: dict[str, Any] = {"Task": Task, "TaskContext": TaskContext}
    exec(PAGE_TRAIN, names)
    return names["Train"]


@pytest.fixture
def experiment(tmp_path: Path) -> Any:
    with trouper.Workspace(tmp_path / "ws") as workspace:
        yield workspace.project("p").experiment("e")


async def execute_one(task: Any, run: Any, name: str = "train") -> Any:
    wf = trouper.Workflow("page")
    wf.add(task, name=name)
    return (await wf.execute(run=run)).unwrap()[name]


# -- "The Core View of a Task" --------------------------------------------------------------------


async def test_run_context_is_the_workspace_execution_context(experiment: Any) -> None:
    """`ctx.run_context` is the underlying workspace execution context when the workflow is running
    under a Run."""
    seen: list[TaskContext] = []

    async def look(ctx: TaskContext) -> None:
        seen.append(ctx)

    run = experiment.run(id="r")
    await execute_one(look, run)
    context = seen[0].run_context
    assert context is not None
    assert context.workspace is experiment.workspace
    assert (context.run_name, context.project, seen[0].action.run_name) == ("r", "p", "r")


async def test_config_always_exists_and_is_that_of_the_run(experiment: Any) -> None:
    """`ctx.config` is the resolved ProfileConfig, which always exists even when no named profile
    was selected."""

    async def config(ctx: TaskContext) -> Any:
        return ctx.config

    none = await execute_one(config, experiment.run(id="r"), "config")
    assert (none, none.name) == ({}, None)
    profile = trouper.ProfileConfig({"lr": 0.5}, name="fast")
    run = experiment.run(id="s", profile_config=profile)
    assert await execute_one(config, run, "config") is profile
    # "MolExp resolves and preserves the selected profile": with the record of the run.
    (execution,) = run.executions()
    assert (execution.profile, execution.config) == ("fast", {"lr": 0.5})
    assert execution.config_hash == profile.content_hash()


# -- "Working Under a Run" ------------------------------------------------------------------------


async def test_the_pages_own_task_keeps_all_that_it_says(experiment: Any, tmp_path: Path) -> None:
    """F8: the page's own `Train` crashed on `None.save`."""
    (tmp_path / "data.csv").write_text("1,2\n")
    experiment.parent.data_assets.import_asset("training-data", tmp_path / "data.csv")
    run = experiment.run(id="r")
    value = await execute_one(page_train(), run)
    assert value["loss"] == 0.05
    # F7: the path that was found was relative to a folder that nobody knew.
    assert value["dataset"].is_absolute()
    assert value["dataset"].read_text() == "1,2\n"
    assert run.results == {"final_loss": 0.05}
    assert json.loads((run.path / "artifacts" / "metrics.json").read_bytes()) == {"loss": 0.05}
    assert (run.path / "logs" / "train.log").read_text() == "loss=0.05\n"


async def test_an_artifact_is_registered_in_the_manifest_and_the_catalog(experiment: Any) -> None:
    """`ctx.artifact.save(...)` writes a file into the run's artifacts directory and registers an
    ArtifactAsset in the manifest and the catalog."""
    run = experiment.run(id="r")
    await execute_one(page_train(), run)
    lines = [json.loads(line) for line in (run.path / "assets.jsonl").read_text().splitlines()]
    assert any(line.get("name") == "metrics.json" for line in lines)
    (asset,) = experiment.workspace.catalog.query_assets(name="metrics.json")
    assert asset.kind == "artifact"
    assert asset.path == run.path / "artifacts" / "metrics.json"


async def test_a_log_asset_tells_what_is_in_the_file_now(experiment: Any) -> None:
    """`ctx.log(name)` returns a bound log handle whose `.append(line)` writes a line to
    `logs/<name>.log` and updates the LogAsset."""
    run = experiment.run(id="r")

    async def task(ctx: TaskContext) -> Any:
        log = ctx.log("train")
        log.append("one")
        log.append("two")
        return log.tail()

    assert list(await execute_one(task, run)) == ["one", "two"]
    assert (run.path / "logs" / "train.log").read_text() == "one\ntwo\n"
    (asset,) = experiment.workspace.catalog.query_assets(kind="log", name="train")
    assert (asset.lines, asset.size) == (2, 8)


async def test_a_checkpoint_is_chained_to_the_previous_across_attempts(experiment: Any) -> None:
    """F9: `ctx.checkpoint(name, data=...)` writes a CheckpointAsset chained to the previous
    checkpoint; the original began again at None on every attempt, and read none."""
    run = experiment.run(id="r")
    failures = [OSError("disk")]

    async def task(ctx: TaskContext) -> Any:
        epoch = ctx.restore("model", {"epoch": 0})["epoch"]
        ctx.checkpoint("model", data={"epoch": epoch + 1})
        if failures:
            raise failures.pop()
        return [each.load()["epoch"] for each in ctx.checkpoints("model")]

    with pytest.raises(OSError, match="disk"):
        await execute_one(task, run)
    assert sorted(await execute_one(task, run.resume())) == [1, 2]
    found = experiment.workspace.catalog.query_assets(kind="checkpoint", order="oldest")
    assert [each.previous for each in found] == [None, found[0].id]
    assert [each.producer.execution for each in found] == [1, 2]


async def test_find_asset_searches_run_experiment_project_workspace(
    experiment: Any, tmp_path: Path
) -> None:
    """F7: `ctx.find_asset(...)` searches the asset hierarchy from run → experiment → project →
    workspace."""
    found: list[str | None] = []

    async def find(ctx: TaskContext) -> None:
        asset = ctx.find_asset("data")
        found.append(None if asset is None else asset.path.read_text())

    project = experiment.project
    await execute_one(find, experiment.run(id="none"))
    for n, scope in enumerate([experiment.workspace, project, experiment, experiment.run(id="r3")]):
        (tmp_path / "data").write_text(scope.kind)
        scope.data_assets.import_asset("data", tmp_path / "data")
        await execute_one(find, experiment.run(id=f"r{n}"))
    assert found == [None, "workspace", "project", "experiment", "run"]


async def test_results_are_the_map_that_is_persisted_with_the_run(experiment: Any) -> None:
    """F10: `ctx.set_result(...)` and `ctx.get_result(...)` expose the lightweight result map
    persisted with the run metadata."""
    run = experiment.run(id="r")

    async def task(ctx: TaskContext) -> Any:
        ctx.set_result("loss", 0.5)
        # "Visible from other processes while the run goes on": read from the database.
        assert trouper.Workspace(experiment.workspace.path).find_run("r").results == {"loss": 0.5}
        return ctx.get_result("loss"), ctx.get_result("none", 3)

    assert await execute_one(task, run) == (0.5, 3)
    assert json.loads((run.path / "run.json").read_bytes())["results"] == {"loss": 0.5}


async def test_assets_carry_a_producer_and_the_active_task(experiment: Any) -> None:
    """F6: "queries like `catalog.query_assets(producer_task="train")` work without the task having
    to tag its own outputs"."""
    run = experiment.run(id="r")

    async def other(ctx: TaskContext) -> None:
        ctx.set_active_task("by another name")
        ctx.artifact.save("other", b"x")

    await execute_one(page_train(), run)
    await execute_one(other, run.rerun(), "other")
    catalog = experiment.workspace.catalog
    made = {each.name for each in catalog.query_assets(producer_task="train")}
    assert made == {"metrics.json", "train"}
    (asset,) = catalog.query_assets(producer_task="by another name")
    producer = asset.producer
    assert (asset.name, producer.run, producer.project, producer.experiment) == (
        *("other", "r"),
        *("p", "e"),
    )
    assert producer.execution == 2


# -- "ActorContext", "Runnable Example" -----------------------------------------------------------


async def test_actors_keep_things_too(experiment: Any) -> None:
    """ActorContext extends TaskContext for streaming tasks."""
    wf = trouper.Workflow("stream")

    @wf.actor
    async def count(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for n in range(3):
            ctx.log("seen").append(str(n))
            yield n

    run = experiment.run(id="r")
    assert (await wf.execute(run=run)).ok
    assert (run.path / "logs" / "seen.log").read_text() == "0\n1\n2\n"


def test_the_runnable_example_is_where_the_page_says() -> None:
    text = (EXAMPLES / "workflow" / "task_context.py").read_text(encoding="utf-8")
    for word in ("ctx.inputs", "ctx.deps", "ctx.config", "ctx.artifact", "ctx.find_asset"):
        assert word in text


def test_a_run_that_is_attached_by_default_serves_the_pages_task_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F8: `trouper.run` attaches an embedded workspace, so the page's `Train` never meets None."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TROUPER_HOME", str(tmp_path / "home"))
    wf = trouper.Workflow("page")
    wf.add(page_train())
    assert trouper.run(wf).unwrap()["train"] == {"loss": 0.05, "dataset": None}
    with trouper.Workspace() as workspace:
        (run,) = workspace.runs()
        assert run.results == {"final_loss": 0.05}
        assert (run.path / "artifacts" / "metrics.json").is_file()
        with pytest.raises(StoreError, match="has completed"):
            run.start().begin()
