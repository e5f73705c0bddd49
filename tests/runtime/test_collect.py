"""A batch task downstream of an actor waits for the end of the stream."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.bodies import counts, sleeps


async def run_with(n: int, **options: Any) -> trouper.WorkflowResult:
    """A stream of n numbers into a task that returns its input."""
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(n))

    @wf.task(depends_on="numbers", **options)
    async def after(ctx: trouper.TaskContext) -> Any:
        return ctx.inputs

    return await wf.execute()


@pytest.mark.parametrize(
    ("n", "options", "expected"),
    [
        (200, {}, 199),
        (200, {"collect": "last"}, 199),
        (200, {"collect": "all"}, list(range(200))),
        (5, {"collect": "all", "max_items": 5}, [0, 1, 2, 3, 4]),
        (0, {"collect": "all"}, []),
        (0, {"default": None}, None),
        (0, {"default": "nothing"}, "nothing"),
        (1, {"default": "nothing"}, 0),
    ],
)
async def test_what_a_task_gets_of_a_stream(n: int, options: Any, expected: Any) -> None:
    result = await run_with(n, **options)
    assert result.unwrap()["after"] == expected
    assert [(edge.source, edge.sent, edge.acknowledged) for edge in result.edges] == [
        ("numbers", n, n)
    ]


async def test_an_empty_stream_is_an_error_that_names_it() -> None:
    result = await run_with(0)
    assert (result.status, result.failed_node) == ("failed", "after")
    with pytest.raises(trouper.EmptyStream) as caught:
        result.unwrap()
    assert str(caught.value) == (
        "'after' waited for the stream 'numbers', which ended without a value; give the task "
        "default=..., or let the stream yield something"
    )
    assert result.nodes["after"].incarnation == 0


async def test_too_many_values_are_an_error_that_names_the_bound() -> None:
    result = await run_with(500, collect="all", max_items=99)
    assert result.failed_node == "after"
    with pytest.raises(trouper.TooManyItems, match="'after' collected more than max_items=99 val"):
        result.unwrap()


async def test_a_stream_without_end_is_not_collected_beyond_its_bound() -> None:
    """Constant memory: the bound holds while the stream goes on."""
    wf = trouper.Workflow()
    made = 0

    @wf.actor
    async def endless(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    wf.task(name="after", depends_on="endless", collect="all", max_items=10)(sleeps(0))
    result = await wf.execute()
    assert result.status == "failed"
    assert made <= 10 + 64 + 64 + 2


async def test_two_streams_that_end_at_once_without_a_value_are_one_failure(
    autojump_clock: MockClock,
) -> None:
    wf = trouper.Workflow()
    names = [f"quiet{number}" for number in range(8)]
    for name in names:
        wf.actor(name=name)(sleeps(1))
    wf.task(name="after", depends_on=names)(sleeps(0))
    result = await wf.execute()
    assert isinstance(result.error, trouper.EmptyStream)
    assert result.failed_node == "after"


async def test_streams_and_tasks_come_together(autojump_clock: MockClock) -> None:
    """The task starts when the last of them stands, however long each takes."""
    wf = trouper.Workflow()
    wf.actor(name="ticks")(counts(3, every=2))
    wf.actor(name="more", outputs={"side": int})(counts(4))
    wf.task(name="slow")(sleeps(4, "slow"))

    @wf.task(depends_on=["slow", "ticks", "more"])
    async def join(ctx: trouper.TaskContext) -> Any:
        return trio.current_time() - begun, dict(ctx.inputs)

    begun = trio.current_time()
    seconds, inputs = (await wf.execute()).unwrap()["join"]
    assert inputs == {"slow": "slow", "ticks": 2, "more": 3}
    assert seconds == pytest.approx(6)


async def test_one_collector_does_not_hold_up_another_reader(autojump_clock: MockClock) -> None:
    wf = trouper.Workflow()
    got: list[int] = []
    wf.actor(name="numbers")(counts(10))

    @wf.actor(depends_on="numbers")
    async def live(ctx: trouper.ActorContext) -> None:
        got.extend([number async for number in ctx])

    wf.task(name="last", depends_on={"numbers": trouper.Edge(capacity=1)})(lambda n: n)
    result = await wf.execute()
    assert result.unwrap()["last"] == 9
    assert got == list(range(10))


async def test_a_cancelled_run_closes_what_was_being_collected(autojump_clock: MockClock) -> None:
    """X6"""
    wf = trouper.Workflow()
    wf.actor(name="ticks")(counts(100, every=1))
    wf.task(name="after", depends_on="ticks", collect="all")(sleeps(0))
    async with wf.open() as run:
        await trio.sleep(3.5)
        run.cancel()
    result = await run.wait()
    assert result.nodes["after"].state == "cancelled"
    assert all(edge.is_closed for edge in result.edges)
    assert result.outputs == {"ticks": 3}


async def test_a_value_that_comes_as_the_run_ends_starts_nothing(
    autojump_clock: MockClock,
) -> None:
    """A failure elsewhere: what was about to start does not."""
    wf = trouper.Workflow()

    @wf.task
    async def bad(ctx: trouper.TaskContext) -> None:
        await trio.sleep(1)
        raise OSError

    @wf.task
    async def same_time(ctx: trouper.TaskContext) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(2)

    started: list[str] = []

    @wf.task(depends_on="same_time")
    async def after(ctx: trouper.TaskContext) -> None:
        started.append("after")

    result = await wf.execute()
    assert (result.status, started) == ("failed", [])
    assert result.nodes["same_time"].state == "done"
