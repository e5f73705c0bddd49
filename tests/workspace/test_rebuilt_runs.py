"""Whatever was done in a workspace: its files give back all that it had told, also elsewhere."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

import trouper
from harness.rebuilding import lose_database, told_of, told_of_run

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
) | st.sampled_from([{"trouper": "msgpack", "base64": "x"}, "x" * 70_000, b"x" * 70_000])
NAMES = st.sampled_from(["a", "b", "c"])
SCOPES = st.sampled_from(["p", "ä b", "..%2F"])


@frozen
class Step:
    """One execution of a workflow, or of a task."""

    project: str
    name: str
    is_task: bool
    is_failing: bool
    results: dict[str, Any]
    calls: int
    config: dict[str, Any]


STEPS = st.builds(
    Step,
    project=SCOPES,
    name=NAMES,
    is_task=st.booleans(),
    is_failing=st.booleans(),
    results=st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=3),
    calls=st.sampled_from([0, 2, 120]),
    config=st.dictionaries(st.sampled_from(["x-y", "z"]), st.integers(), max_size=1),
)


def use(ctx: trouper.TaskContext, step: Step) -> None:
    """Set results and keep assets, as the step says; and fail if it does."""
    for key, value in step.results.items():
        ctx.set_result(key, value)
    if step.results:
        ctx.artifact.save("artifact", b"1", tags=["t"])
        ctx.find_asset("artifact")
        ctx.log("log").append("line")
    if step.is_failing:
        raise ValueError("no")


def run_task(workspace: trouper.Workspace, step: Step) -> None:
    env = trouper.TaskEnvironment("env")

    @env.task
    async def leaf(n: int) -> int:
        return n

    @env.task
    async def root(n: int, data: bytes, *, flag: float = 0.5) -> tuple[int, bytes]:
        context = trouper.ctx()
        assert context is not None
        for number in range(step.calls):
            await leaf(number)
        use(context, step)
        return n, data

    runner = trouper.with_runcontext(
        name=f"task-{step.name}",
        project=None if "/" in step.project else step.project,
        domain="development",
        labels={"a": step.name},
        annotations={"b": "ä"},
        queue=None,
        workspace=workspace,
    )
    with suppress(trouper.errors.RuntimeUserError):
        runner.run(root, step.calls, b"\xff")


def run_workflow(workspace: trouper.Workspace, step: Step) -> None:
    wf = trouper.Workflow("graph")

    @wf.task
    async def first(ctx: trouper.TaskContext) -> list[int]:
        return [1, 2]

    @wf.task(depends_on=[first])
    async def second(ctx: trouper.TaskContext) -> dict[str, bytes]:
        use(ctx, step)
        return {"out": b"\xff"}

    experiment = workspace.project(step.project).experiment("e", params={"é": 1})
    run = experiment.run({"n": 1}, id=f"graph-{step.name}")
    if run.phase == "pending":
        trouper.run(wf, run=run.start(step.config))
    else:
        trouper.run(wf, run=run.rerun() if run.phase == "completed" else run.resume())


@settings(max_examples=20)
@given(st.lists(STEPS, min_size=1, max_size=5), st.data())
def test_files_give_back_all_that_was_told(steps: list[Step], data: st.DataObject) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        trouper.Workspace(Path(folder, "ws")) as workspace,
        trouper.Workspace(Path(folder, "other")) as other,
    ):
        for step in steps:
            (run_task if step.is_task else run_workflow)(workspace, step)
        before = told_of(workspace)
        # It knows all already.
        rebuilt = workspace.catalog.rebuild()
        assert (rebuilt.taken_in, rebuilt.forgotten) == ((), ())
        assert told_of(workspace) == before

        lose_database(workspace)
        assert workspace.runs() == []
        assert len(workspace.catalog.rebuild().taken_in) == len(before["runs"])
        assert told_of(workspace) == before

        run = data.draw(st.sampled_from([run for run, _ in before["runs"]]))
        told = told_of_run(run)
        there = other.project(run.key.project).experiment(run.key.experiment).run(id=run.name)
        there.path.parent.mkdir(parents=True)
        shutil.move(run.path, there.path)
        assert other.catalog.rebuild().taken_in == (str(run.key),)
        assert told_of_run(there) == told
        assert workspace.catalog.rebuild().forgotten == (str(run.key),)
        assert told_of(workspace)["runs"] == [each for each in before["runs"] if each[0] != run]
        # And back, under another name.
        back = workspace.project("q").experiment("r").run(id="again")
        back.path.parent.mkdir(parents=True)
        shutil.copytree(there.path, back.path)
        assert workspace.catalog.rebuild().taken_in == ("q/r/again",)
        record = back.record()
        assert record is not None
        assert record.annotations["moved_from"] == str(run.key)
        assert back.results == told["results"]
