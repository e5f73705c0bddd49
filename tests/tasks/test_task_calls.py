"""Tasks that call tasks: results, names, contexts, depth, and what runs side by side."""

from functools import partial
from typing import Any

import pytest
import trio

import trouper

env = trouper.TaskEnvironment("calls")
runner = trouper.with_runcontext(name="calls")


@env.task
async def double(n: int) -> int:
    return n * 2


@env.task
async def twice(n: int) -> int:
    return await double(n) + await double(n=n)


def names_of(run: Any) -> list[str]:
    return [action.name for action in run.actions().walk()]


async def run(task: Any, *args: Any, **named: Any) -> Any:
    (value,) = (await runner.run.aio(task, *args, **named)).outputs()
    return value


async def test_a_task_awaits_a_task() -> None:
    assert await run(twice, 3) == 12
    assert await run(twice, n=4) == 16


async def test_names_are_by_caller_and_order_of_calls() -> None:
    """The same in every run, so that a later one can find them."""
    for _ in range(2):
        ended = await runner.run.aio(twice, 3)
        assert names_of(ended) == ["twice", "twice/double-1", "twice/double-2"]
        assert [each.phase for each in ended.actions().walk()] == ["completed"] * 3


async def test_names_of_calls_deep_down_stay_short() -> None:
    @env.task(name="descend")
    async def descend(n: int) -> int:
        return n if n == 0 else await descend(n - 1)

    ended = await runner.run.aio(descend, 100)
    names = names_of(ended)
    assert len(set(names)) == 101
    assert max(map(len, names)) < 500
    assert names == names_of(await runner.run.aio(descend, 100))


async def test_a_thousand_calls_deep() -> None:
    """F38: 200 nested calls overflowed the stack."""

    @env.task(name="deep")
    async def deep(n: int) -> int:
        return 0 if n == 0 else 1 + await deep(n - 1)

    assert await run(deep, 1_000) == 1_000


async def test_an_exception_comes_up_from_a_thousand_calls_deep() -> None:
    @env.task(name="deep_failure")
    async def deep_failure(n: int) -> int:
        if n == 0:
            raise ValueError("at the bottom")
        return await deep_failure(n - 1)

    with pytest.raises(trouper.errors.RuntimeUserError) as caught:
        await run(deep_failure, 1_000)
    assert caught.value.code == "ValueError"
    assert isinstance(caught.value.__cause__, ValueError)


async def test_side_by_side_in_a_nursery() -> None:
    met = trio.Event()

    @env.task(name="wait_for_other")
    async def wait_for_other() -> None:
        await met.wait()

    @env.task(name="meet")
    async def meet() -> None:
        met.set()

    @env.task(name="both")
    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_other)
            nursery.start_soon(meet)

    ended = await runner.run.aio(both)
    assert names_of(ended) == ["both", "both/wait_for_other-1", "both/meet-1"]


async def test_a_partial_of_a_task_is_called_and_run() -> None:
    add = env.task(name="add")(_add)

    @env.task(name="with_partial")
    async def with_partial() -> int:
        return await partial(add, 1)(b=2)

    assert await run(with_partial) == 3
    assert await run(partial(partial(add, 5), b=6)) == 11


async def _add(a: int, b: int) -> int:
    return a + b


async def test_a_partial_becomes_a_task() -> None:
    add_one = env.task(name="add_one")(partial(_add, 1))
    assert await run(add_one, b=4) == 5


async def test_each_body_has_context_variables_of_its_own() -> None:
    from contextvars import ContextVar

    mine: ContextVar[str] = ContextVar("mine", default="nothing")
    seen: list[str] = []

    @env.task(name="inner_variable")
    async def inner() -> None:
        seen.append(mine.get())
        mine.set("inner")
        await trio.lowlevel.checkpoint()
        seen.append(mine.get())

    @env.task(name="outer_variable")
    async def outer() -> None:
        mine.set("outer")
        await inner()
        seen.append(mine.get())

    await runner.run.aio(outer)
    assert seen == ["outer", "inner", "outer"]
    assert mine.get() == "nothing"


async def test_a_call_outside_of_a_run_names_the_way_in() -> None:
    with pytest.raises(RuntimeError, match=r"'double'.*trouper\.with_runcontext\(\.\.\.\)\.run"):
        await double(3)


async def test_others_run_beside_a_task_that_calls_and_never_waits() -> None:
    """A call that need not wait is no cancel point, but the end of a time slice is."""
    calls = 0

    @env.task(name="busy")
    async def busy() -> None:
        nonlocal calls
        while True:
            calls += 1
            await double(1)

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run.aio, busy)
            while calls < 10:
                await trio.lowlevel.checkpoint()
            scope.cancel()
    assert scope.cancelled_caught


async def test_a_group_is_told_of_the_calls_inside() -> None:
    @env.task(name="grouped")
    async def grouped() -> None:
        with trouper.group("first"):
            await twice(1)
        await double(1)

    ended = await runner.run.aio(grouped)
    groups = {each.name: each.group for each in ended.actions().walk()}
    assert groups == {
        "grouped": None,
        "grouped/twice-1": "first",
        "grouped/twice-1/double-1": "first",
        "grouped/twice-1/double-2": "first",
        "grouped/double-1": None,
    }
    with pytest.raises(ValueError, match="group name"), trouper.group("a b"):
        raise AssertionError("never entered")


async def test_a_call_that_nobody_awaits_is_shown_as_cancelled() -> None:
    @env.task(name="forgetful")
    async def forgetful() -> None:
        double(1).close()

    ended = await runner.run.aio(forgetful)
    assert [each.phase for each in ended.actions().walk()] == ["completed", "cancelled"]


async def test_nodes_of_a_graph_call_tasks() -> None:
    """Each incarnation's calls have the same names."""
    wf = trouper.Workflow("graph")
    seen: list[str] = []

    @env.task(name="look")
    async def look() -> str:
        context = trouper.ctx()
        assert context is not None
        seen.append(context.action.name)
        return context.action.run_name

    tries = iter([True, False])

    @wf.task(restart="transient")
    async def node() -> str:
        await look()
        if next(tries):
            raise OSError("once")
        return await look()

    ended = await runner.run.aio(wf)
    assert ended.outputs().node == "calls"
    assert seen == ["node/look-1", "node/look-1", "node/look-2"]
    (below,) = ended.actions().children
    assert [each.name for each in below.children] == ["node/look-1", "node/look-2"]
