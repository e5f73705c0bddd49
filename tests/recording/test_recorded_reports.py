"""What another process reads of a run's actions is what its own handle tells."""

from collections.abc import Callable
from pathlib import Path

import trouper
from harness.command import trouper_command
from trouper.runtime.workspace._run_execution import tree_of
from trouper.runtime.workspace._workspace import Workspace

__all__ = ["trouper_command"]
Call = Callable[..., tuple[int, str, str]]

env = trouper.TaskEnvironment("reports")


@env.task(queue="gpu")
async def heavy(n: int) -> int:
    return n


@env.task(cache="auto")
async def cached(n: int) -> int:
    return n


@env.task(interruptible=True)
async def root() -> int:
    with trouper.group("pair"):
        await cached(1)
        await cached(1)
    return await heavy(1)


def told(report: trouper.ActionReport) -> list[tuple[object, ...]]:
    return sorted(
        (
            *(each.name, each.phase, each.attempts, each.started, each.ended),
            *(each.group, each.queue, each.is_cached, each.interruptible),
        )
        for each in report.walk()
    )


def recorded(folder: Path, name: str) -> trouper.ActionReport:
    """Read it by a handle of its own, as another process would."""
    with Workspace(folder).reading() as store:
        assert store is not None
        record = store.runs.get(name)
        assert record is not None
        return tree_of(record, store.actions.of(record.execution))


def test_a_record_has_group_queue_cache_and_interruptible(tmp_path: Path) -> None:
    trouper.init(queues={"gpu": 1})
    run = trouper.with_runcontext(name="r", workspace=tmp_path).run(root)
    seen = told(recorded(tmp_path, "r"))
    assert seen == told(run.actions())
    assert [each[5:] for each in seen] == [
        (None, None, False, True),
        ("pair", None, False, False),
        ("pair", None, True, False),
        (None, "gpu", False, False),
    ]


def test_runs_show_tells_them(tmp_path: Path, trouper_command: Call) -> None:
    trouper.init(queues={"gpu": 1})
    trouper.with_runcontext(name="r", workspace=tmp_path).run(root)
    code, out, _ = trouper_command("runs", "show", "r", "--root", str(tmp_path))
    assert code == 0
    lines = [line.strip() for line in out.splitlines()]
    [hit] = [line for line in lines if line.startswith("root/cached-2 ")]
    assert hit.endswith(", cached, in pair")
    [queued] = [line for line in lines if line.startswith("root/heavy-1 ")]
    assert queued.endswith(", queue gpu")


def test_the_nodes_of_a_graph_have_their_times(tmp_path: Path) -> None:
    """In the handle as in the record."""
    wf = trouper.Workflow("graph")

    @wf.task
    async def one(ctx: trouper.TaskContext) -> int:
        return 1

    run = trouper.with_runcontext(name="g", workspace=tmp_path).run(wf)
    [node] = run.actions().children
    [kept] = recorded(tmp_path, "g").children
    assert node.name == kept.name == "one"
    assert 0 < node.started == kept.started
    assert 0 < node.ended == kept.ended
