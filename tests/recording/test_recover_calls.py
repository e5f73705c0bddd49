"""`trouper.recover` and `trouper.rerun` in one process: what is used again, and what can't be."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from trouper.errors import RuntimeUserError

env = trouper.TaskEnvironment("recovered")


class Point:
    """No plain data."""

    def __init__(self, x: int) -> None:
        self.x = x


def test_equal_calls_side_by_side_get_back_what_was_theirs(tmp_path: Path) -> None:
    """Their names depend on who comes first; what they were given does not."""
    calls: list[int] = []
    may_end = False

    @env.task(name="square")
    async def square(n: int) -> Any:
        calls.append(n)
        return Point(n * n)

    @env.task(name="squares")
    async def squares(turn: list[int]) -> list[int]:
        order = turn if may_end else list(reversed(turn))
        points = await trouper.gather(*map(square, order))
        if not may_end:
            raise OSError("not yet")
        return [point.x for point in points]

    runner = trouper.with_runcontext(name="r", workspace=tmp_path)
    with pytest.raises(RuntimeUserError, match="not yet"):
        runner.run(squares, [1, 2, 3])
    may_end = True
    run = trouper.recover("r", squares, workspace=tmp_path)
    assert run.outputs() == ([1, 4, 9],)
    assert sorted(calls) == [1, 2, 3]


def test_other_arguments_are_done_anew(tmp_path: Path) -> None:
    calls: list[int] = []

    @env.task(name="noted")
    async def noted(n: int) -> int:
        calls.append(n)
        return n

    @env.task(name="changes")
    async def changes() -> int:
        value = await noted(len(calls))
        if value == 0:
            raise OSError("first")
        return value

    with pytest.raises(RuntimeUserError):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(changes)
    assert trouper.recover("r", changes, workspace=tmp_path).outputs() == (1,)
    assert calls == [0, 1]


def test_what_a_failed_attempt_called_is_not_used(tmp_path: Path) -> None:
    calls: list[str] = []
    is_mended = False

    @env.task(name="token")
    async def token() -> int:
        calls.append("token")
        return len(calls)

    @env.task(name="retried", retries=1)
    async def retried() -> int:
        found = await token()
        if not is_mended:
            raise OSError(f"with token {found}")
        return found

    with pytest.raises(RuntimeUserError, match="with token 2"):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(retried)
    is_mended = True
    # The last attempt's call has completed, and is used.
    assert trouper.recover("r", retried, workspace=tmp_path).outputs() == (2,)


def test_an_output_that_cannot_be_kept_is_made_again(tmp_path: Path) -> None:
    calls: list[str] = []

    @env.task(name="opens")
    async def opens() -> Any:
        calls.append("opens")
        return lambda: 1

    @env.task(name="uses")
    async def uses() -> Any:
        value = (await opens())()
        if len(calls) == 1:
            raise OSError
        return value

    with pytest.raises(RuntimeUserError):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(uses)
    assert trouper.recover("r", uses, workspace=tmp_path).outputs() == (1,)
    assert calls == ["opens", "opens"]


def test_a_task_that_yields_begins_again(tmp_path: Path) -> None:
    opened: list[int] = []

    @env.task(name="ticks")
    async def ticks() -> AsyncIterator[int]:
        opened.append(1)
        for n in range(3):
            yield n

    @env.task(name="reads")
    async def reads() -> Any:
        total = sum([n async for n in ticks()])
        if len(opened) == 1:
            raise OSError
        return total

    with pytest.raises(RuntimeUserError):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(reads)
    assert trouper.recover("r", reads, workspace=tmp_path).outputs() == (3,)
    assert len(opened) == 2


def test_parameters_of_the_run_are_those_of_before(tmp_path: Path) -> None:
    @env.task(name="looks")
    async def looks(a: int, /, b: int, *rest: int, c: int = 3, **more: int) -> list[Any]:
        ctx = trouper.ctx()
        assert ctx is not None
        return [a, b, list(rest), c, more, dict(ctx.custom_context), ctx.action.project]

    runner = trouper.with_runcontext(
        name="r", workspace=tmp_path, project="p", custom_context={"k": "v"}, labels={"a": "b"}
    )
    first = runner.run(looks, 1, 2, 4, 5, c=6, d=7)
    again = trouper.rerun("p/default/r", looks, workspace=tmp_path)
    assert again.outputs() == first.outputs() == ([1, 2, [4, 5], 6, {"d": 7}, {"k": "v"}, "p"],)
    record = again.record()
    assert record is not None
    assert (record.number, record.labels) == (2, {"a": "b"})
    relabelled = trouper.rerun("r", looks, workspace=tmp_path, labels={"c": "d"}).record()
    assert relabelled is not None
    assert relabelled.labels == {"c": "d"}


def test_a_graph_is_done_again_and_its_finished_tasks_are_kept(tmp_path: Path) -> None:
    calls: list[str] = []
    wf = trouper.Workflow("graph")

    @wf.task
    async def first() -> int:
        calls.append("first")
        return 1

    @wf.task(depends_on="first")
    async def second(first: int) -> int:
        calls.append("second")
        if calls.count("second") == 1:
            raise OSError("not yet")
        return first + 1

    runner = trouper.with_runcontext(name="r", workspace=tmp_path)
    assert runner.run(wf).phase == "failed"
    run = trouper.recover("r", wf, workspace=tmp_path)
    assert dict(run.outputs().items()) == {"first": 1, "second": 2}
    assert calls == ["first", "second", "second"]
    assert trouper.rerun("r", wf, workspace=tmp_path).phase == "completed"
    assert calls.count("first") == 2


# -- what can't be done ---------------------------------------------------------------------------


def test_what_cannot_be_had_again_is_said(tmp_path: Path) -> None:
    @env.task(name="given")
    async def given(value: Any) -> int:
        return 1

    @env.task(name="other")
    async def other() -> int:
        return 1

    with pytest.raises(trouper.errors.NoWorkspace, match="there is no workspace at"):
        trouper.rerun("r", given, workspace=tmp_path / "nowhere")
    runner = trouper.with_runcontext(name="r", workspace=tmp_path)
    runner.run(given, Point(1))
    with pytest.raises(trouper.errors.NoSuchRun, match="no run named 'x'"):
        trouper.rerun("x", given, workspace=tmp_path)
    with pytest.raises(ValueError, match="value of the run 'r' is not recorded"):
        trouper.rerun("r", given, workspace=tmp_path)
    with pytest.raises(ValueError, match="'r' is one of task 'given', not of 'other'"):
        trouper.rerun("r", other, workspace=tmp_path)
    with pytest.raises(ValueError, match="has no task 'given' at its top level"):
        trouper.rerun("r", workspace=tmp_path)
    with pytest.raises(trouper.errors.WrongPhase, match="has completed"):
        runner.run(given, 1)
        trouper.recover("r", given, workspace=tmp_path)


async def test_inside_of_a_loop_both_are_awaited(tmp_path: Path) -> None:
    faults = ["not yet"]

    @env.task(name="simple")
    async def simple() -> int:
        if faults:
            raise OSError(faults.pop())
        return 1

    with pytest.raises(RuntimeUserError, match="not yet"):
        await trouper.with_runcontext(name="r", workspace=tmp_path).run.aio(simple)
    with pytest.raises(RuntimeError, match=r"trio .* `await trouper.recover.aio\('r', ...\)`"):
        trouper.recover("r", simple, workspace=tmp_path)
    assert (await trouper.recover.aio("r", simple, workspace=tmp_path)).outputs() == (1,)
    with pytest.raises(RuntimeError, match=r"trio .* `await trouper.rerun.aio\('r', ...\)`"):
        trouper.rerun("r", simple, workspace=tmp_path)
    faults.append("again")
    with pytest.raises(RuntimeUserError, match="again"):
        await trouper.rerun.aio("r", simple, workspace=tmp_path)
    assert repr(trouper.rerun) == "<function trouper.rerun>"

    def in_thread() -> trouper.Run:
        return trouper.rerun("r", simple, workspace=tmp_path)

    assert (await trio.to_thread.run_sync(in_thread)).phase == "completed"


def test_both_are_awaited_in_asyncio(tmp_path: Path) -> None:
    @env.task(name="counted")
    async def counted(n: int) -> int:
        return n

    async def main() -> tuple[Any, ...]:
        await trouper.with_runcontext(name="r", workspace=tmp_path).run.aio(counted, 3)
        with pytest.raises(RuntimeError, match="asyncio runs in this thread; write `await"):
            trouper.rerun("r", counted, workspace=tmp_path)
        return (await trouper.rerun.aio("r", counted, workspace=tmp_path)).outputs()

    assert asyncio.run(main()) == (3,)


def test_values_of_env_vars_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @env.task(name="reads_variable")
    async def reads_variable() -> str:
        return os.environ["OF_THE_RUN"]

    runner = trouper.with_runcontext(name="r", workspace=tmp_path, env_vars={"OF_THE_RUN": "one"})
    assert runner.run(reads_variable).outputs() == ("one",)
    with pytest.raises(ValueError, match="env_vars, whose values are not recorded: set OF_THE_RUN"):
        trouper.rerun("r", reads_variable, workspace=tmp_path)
    monkeypatch.setenv("OF_THE_RUN", "two")
    assert trouper.rerun("r", reads_variable, workspace=tmp_path).outputs() == ("two",)


def test_code_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv[:])
    monkeypatch.setattr(sys, "path", sys.path[:])
    runner = trouper.with_runcontext(name="r", workspace=tmp_path)
    file = tmp_path / "gone_under_test.py"
    text = (
        "import trouper\nenv = trouper.TaskEnvironment('gone')\n"
        "@env.task\nasync def there() -> int: return 1\n"
    )
    file.write_text(text, encoding="utf-8")
    made: dict[str, Any] = {}
    exec(compile(text, str(file), "exec"), made)
    runner.run(made["there"])
    assert trouper.rerun("r", workspace=tmp_path).phase == "completed"
    del sys.modules["gone_under_test"]
    file.write_text("raise OSError('not today')", encoding="utf-8")
    with pytest.raises(ValueError, match="raised while it was loaded"):
        trouper.rerun("r", workspace=tmp_path)
    del sys.modules["gone_under_test"]
    file.unlink()
    with pytest.raises(ValueError, match="is not there any more; give the task or workflow itself"):
        trouper.rerun("r", workspace=tmp_path)
    exec(text, made)
    runner.run(made["there"])
    with pytest.raises(ValueError, match="where the task 'there' of the run 'r' stands is not"):
        trouper.rerun("r", workspace=tmp_path)


def test_an_output_whose_class_is_gone_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    @env.task(name="makes")
    async def makes() -> Any:
        calls.append("makes")
        return Point(1)

    @env.task(name="takes")
    async def takes() -> int:
        point = await makes()
        if len(calls) == 1:
            raise OSError
        return int(point.x)

    with pytest.raises(RuntimeUserError):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(takes)
    monkeypatch.setattr("trouper.runtime.tasks._recall.restore", _refuse)
    assert trouper.recover("r", takes, workspace=tmp_path).outputs() == (1,)
    assert "what takes/makes-1 gave back before can't be read (AttributeError: gone)" in caplog.text


def _refuse(*_: object) -> Any:
    raise AttributeError("gone")
