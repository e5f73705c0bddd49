"""What is recorded of a run that `with_runcontext` starts, and where."""

from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from trouper.errors import RuntimeUserError
from trouper.runtime.store._records import ActionRecord, RunRecord
from trouper.runtime.workspace._kept_values import NotKept, shown
from trouper.runtime.workspace._run import Run

env = trouper.TaskEnvironment("recorded")


@env.task
async def double(n: int) -> int:
    return n * 2


@env.task
async def root(n: int = 2) -> int:
    return sum([await double(each) for each in range(n)])


@env.task
async def breaks() -> None:
    raise OSError("no such luck")


def record_of(run: Run) -> RunRecord:
    record = run.record()
    assert record is not None
    return record


def actions_of(run: Run) -> dict[str, ActionRecord]:
    with run.workspace.reading() as store:
        assert store is not None
        return {each.name: each for each in store.actions.of(record_of(run).execution)}


def test_a_run_and_its_actions_are_recorded(tmp_path: Path) -> None:
    runner = trouper.with_runcontext(
        name="first", workspace=tmp_path / "ws", project="p", labels={"team": "ml"}, version="v1"
    )
    run = runner.run(root, n=3)
    record = record_of(run)
    assert (record.name, record.project, record.experiment) == ("first", "p", "default")
    assert (record.phase, record.number, record.target, record.kind) == (
        *("completed", 1),
        *("root", "task"),
    )
    assert (record.labels, record.version, record.mode) == ({"team": "ml"}, "v1", "local")
    assert record.params["file"] == __file__
    assert shown(record.inputs or b"") == {"n": 3}
    assert shown(record.outputs or b"") == [["o0"], [6]]
    actions = actions_of(run)
    assert list(actions) == ["root", "root/double-1", "root/double-2", "root/double-3"]
    assert {each.phase for each in actions.values()} == {"completed"}
    assert actions["root/double-2"].parent == "root"
    first, last = actions["root/double-1"], actions["root/double-3"]
    assert record.started <= first.started <= (first.ended or 0) <= last.started


def test_where_nothing_is_said_it_is_where_trouper_home_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TROUPER_HOME", "moved")
    assert trouper.with_runcontext().run(root).workspace.path == tmp_path / "moved"
    monkeypatch.delenv("TROUPER_HOME")
    assert trouper.run(root).workspace.path == tmp_path / ".trouper"
    trouper.init(storage={"root": "configured"})
    assert trouper.run(root).workspace.path == tmp_path / "configured"
    assert {each.name for each in tmp_path.iterdir()} == {"moved", ".trouper", "configured"}


def test_without_a_workspace_nothing_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TROUPER_HOME")
    run = trouper.with_runcontext(workspace=False).run(root)
    assert run.outputs() == (2,)
    assert run.context.workspace is None
    with pytest.raises(RuntimeError, match="is kept in memory alone"):
        _ = run.path
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_recorded_with_its_text(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUserError) as caught:
        trouper.with_runcontext(workspace=tmp_path).run(breaks)
    run = caught.value.run
    assert run is not None
    record = record_of(run)
    assert (record.phase, record.error_code) == ("failed", "OSError")
    assert record.error == "breaks failed: OSError: no such luck"
    assert record.trace is not None
    assert 'raise OSError("no such luck")' in record.trace
    action = actions_of(run)["breaks"]
    assert (action.phase, action.error_code, action.error) == ("failed", "OSError", "no such luck")


async def test_a_cancelled_run_is_recorded_as_that(tmp_path: Path) -> None:
    begun = trio.Event()

    @env.task(name="sleeps")
    async def sleeps() -> None:
        begun.set()
        await trio.sleep_forever()

    async with trouper.with_runcontext(workspace=tmp_path).open(sleeps) as run:
        await begun.wait()
        assert (run.phase, record_of(run).phase) == ("running", "running")
        run.abort()
    record = record_of(run)
    assert (record.phase, record.error) == ("cancelled", None)
    assert actions_of(run)["sleeps"].phase == "cancelled"


def test_attempts_are_recorded(tmp_path: Path) -> None:
    tries = iter([OSError("one"), OSError("two"), None])

    @env.task(name="flaky", retries=2)
    async def flaky() -> None:
        error = next(tries)
        if error is not None:
            raise error

    run = trouper.with_runcontext(workspace=tmp_path).run(flaky)
    action = actions_of(run)["flaky"]
    assert (action.phase, action.attempts, action.error) == ("completed", 3, None)


def test_the_nodes_of_a_graph_are_recorded_and_what_they_call(tmp_path: Path) -> None:
    wf = trouper.Workflow("graph")

    @wf.task
    async def one() -> int:
        return await double(1)

    @wf.task(depends_on="one")
    async def two(one: int) -> int:
        raise OSError(f"broken by {one}")

    @wf.task(depends_on="two")
    async def never(two: int) -> int:
        return two

    run = trouper.with_runcontext(workspace=tmp_path).run(wf)
    record = record_of(run)
    assert (record.kind, record.phase, record.error_code) == ("workflow", "failed", "OSError")
    actions = actions_of(run)
    told = {name: (each.phase, each.parent, each.error) for name, each in actions.items()}
    assert told == {
        "one": ("completed", None, None),
        "one/double-1": ("completed", "one", None),
        "two": ("failed", None, "broken by 2"),
    }
    assert all(each.started <= (each.ended or 0) for each in actions.values())


def test_what_is_no_plain_data_is_told_by_how_it_looked(tmp_path: Path) -> None:
    @env.task(name="opaque")
    async def opaque(given: object) -> object:
        return given

    run = trouper.with_runcontext(workspace=tmp_path).run(opaque, OSError)
    record = record_of(run)
    assert shown(record.inputs or b"") == {"given": NotKept("builtins.type", "<class 'OSError'>")}
    [[name], [value]] = shown(record.outputs or b"")
    assert (name, repr(value)) == ("o0", "<class 'OSError'>")


def test_a_name_may_be_used_again(tmp_path: Path) -> None:
    runner = trouper.with_runcontext(name="again", workspace=tmp_path)
    runner.run(root)
    with pytest.raises(RuntimeUserError):
        runner.run(breaks)
    run = runner.run(root)
    with run.workspace.reading() as store:
        assert store is not None
        phases = [each.phase for each in store.runs.executions(run.key)]
    assert phases == ["completed", "failed", "completed"]


async def test_two_runs_at_once_share_a_database(tmp_path: Path) -> None:
    runner = trouper.with_runcontext(workspace=tmp_path)
    async with runner.open(root, 3) as one, runner.open(root, 4) as two:
        assert one.workspace is two.workspace
    assert (one.outputs(), two.outputs()) == ((6,), (12,))
    assert (len(actions_of(one)), len(actions_of(two))) == (4, 5)


def test_a_place_that_may_not_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    ran: list[int] = []

    @env.task(name="notes")
    async def notes() -> None:
        ran.append(1)

    (tmp_path / "file").write_text("", encoding="utf-8")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(trouper.errors.StoreError, match="file"):
            trouper.with_runcontext(workspace=place).run(notes)
    assert ran == []
    with pytest.raises(TypeError, match="takes int"):
        trouper.with_runcontext(workspace=tmp_path / "unmade").run(double, "x")
    assert not (tmp_path / "unmade").exists()


def test_a_graph_takes_either_a_context_or_a_workspace(tmp_path: Path) -> None:
    wf = trouper.Workflow("graph")

    @wf.task
    async def one() -> int:
        return 1

    context = trouper.RunContext(run_name="mine")
    with pytest.raises(ValueError, match="run_context and workspace can't both be given"):
        trouper.run(wf, run_context=context, workspace=tmp_path)
    assert trouper.run(wf, run_context=context).run_name == "mine"
    assert list(tmp_path.iterdir()) == []
    assert trouper.run(wf, workspace=tmp_path).ok
    assert len(trouper.Workspace(tmp_path).runs()) == 1


def test_a_graph_in_memory_is_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPER_HOME", str(tmp_path / "home"))
    wf = trouper.Workflow("graph")

    @wf.task
    async def one() -> int:
        return 1

    assert trouper.run(wf, workspace=False).ok
    assert trio.run(wf.execute).ok
    assert not (tmp_path / "home").exists()
    assert trouper.run(wf).ok
    assert (tmp_path / "home" / "trouper.db").exists()


def test_calls_with_one_task_and_no_key_are_told_apart_by_nothing_else(tmp_path: Path) -> None:
    """What they were given can't be compared: done again, rather than mixed up."""
    calls: list[int] = []

    @env.task(name="applies")
    async def applies(n: int, function: Any) -> int:
        calls.append(n)
        return int(function(n))

    @env.task(name="applies_both")
    async def applies_both() -> int:
        total = await applies(1, lambda n: n) + await applies(2, lambda n: -n)
        if len(calls) == 2:
            raise OSError
        return total

    with pytest.raises(RuntimeUserError):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(applies_both)
    assert trouper.recover("r", applies_both, workspace=tmp_path).outputs() == (-1,)
    assert calls == [1, 2, 1, 2]
