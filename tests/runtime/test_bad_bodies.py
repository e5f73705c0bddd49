"""What users' code can do wrong: nothing hangs, poisons the rest or is lost, and it is told."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts
from harness.ids import assert_edges_closed
from harness.stage import Stage
from trouper.actors._driver import drive_generator

AT_ONCE = trouper.Backoff(min=0, max=0)


class NoText(Exception):
    """Neither its text nor its repr can be made."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class Own(BaseException):
    """What is no Exception."""


async def raises_group() -> None:
    raise ExceptionGroup("several", [ValueError("one"), ExceptionGroup("more", [KeyError("two")])])


async def raises_no_text() -> None:
    raise NoText


async def raises_stop_iteration() -> None:
    raise StopAsyncIteration("not the end")


async def raises_stray_cancelled() -> None:
    kept: list[BaseException] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep(1)
        except trio.Cancelled as cancelled:
            kept.append(cancelled)
            raise
    raise kept.pop()


async def fails_in_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises_group)
        nursery.start_soon(trio.sleep_forever)


def poisoned(bad: Callable[[], Any], got: list[int], **options: Any) -> trouper.Workflow:
    """Return a graph whose relay does something bad over the message 1."""
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(3))

    @wf.actor(depends_on="source", **options)
    async def relay(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        async for n in ctx:
            if n == 1:
                await bad()
            yield n

    wf.actor(name="sink", depends_on="relay")(collects(got))
    return wf


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (raises_group, "ExceptionGroup: several (2 sub-exceptions)"),
        (raises_no_text, "NoText: (its text can't be made: ValueError)"),
        (raises_stop_iteration, "RuntimeError: async generator raised StopAsyncIteration"),
        (raises_stray_cancelled, "RuntimeError: it raised trio.Cancelled although nothing is"),
        (fails_in_a_nursery, "ExceptionGroup: Exceptions from Trio nursery (1 sub-exception)"),
    ],
)
async def test_whatever_a_handler_raises_poisons_its_message_only(
    bad: Callable[[], Any], told: str
) -> None:
    got: list[int] = []
    result = await poisoned(bad, got, backoff=AT_ONCE).execute()
    assert (result.status, got) == ("completed", [0, 2])
    [letter] = result.dead_letters
    assert (letter.node, letter.reason, letter.envelope.payload) == ("relay", "max_attempts", 1)
    assert len(letter.failures) == 3
    assert all(told in str(failure) for failure in letter.failures)
    assert result.nodes["relay"].incarnation == 4
    assert_edges_closed(result)


@pytest.mark.parametrize("bad", [raises_group, raises_no_text, raises_stray_cancelled])
async def test_whatever_a_task_raises_fails_the_run_with_a_reason(bad: Callable[[], Any]) -> None:
    wf = trouper.Workflow()

    @wf.task
    async def task() -> None:
        await bad()

    result = await wf.execute()
    assert (result.status, result.failed_node) == ("failed", "task")
    assert result.reason.startswith("'task' failed: ")
    assert len(result.nodes["task"].failures) == 1


async def plain(ctx: trouper.ActorContext) -> None:
    async for n in ctx:
        if n == 1:
            await raises_stray_cancelled()


async def leased(ctx: trouper.ActorContext) -> None:
    while True:
        async with ctx.leased() as n:
            if n == 1:
                await raises_stray_cancelled()


@pytest.mark.parametrize(("body", "options"), [(plain, {"concurrency": 2}), (leased, {})])
async def test_a_stray_cancelled_is_one_message_s_failure(
    body: Callable[[Any], Any], options: dict[str, Any]
) -> None:
    """Swallowed by a nursery it would end the node as if all were well, messages left over."""
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(5))
    wf.actor(name="node", depends_on="source", backoff=AT_ONCE, **options)(body)
    result = await wf.execute()
    assert result.status == "completed"
    [letter] = result.dead_letters
    assert (letter.envelope.payload, letter.reason) == (1, "max_attempts")
    assert result.edges[0].acknowledged == 4


@pytest.mark.parametrize("is_ordered", [False, True])
async def test_a_stray_cancelled_of_a_map_is_one_item_s_failure(is_ordered: bool) -> None:
    async def same(n: int) -> int:
        if n == 1:
            await raises_stray_cancelled()
        return n

    async def numbers() -> list[int]:
        return [0, 1, 2]

    got: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(5))
    wf.map(over="source", name="each", concurrency=2, ordered=is_ordered, backoff=AT_ONCE)(same)
    wf.actor(name="sink", depends_on="each")(collects(got))
    result = await wf.execute()
    assert (result.status, sorted(got)) == ("completed", [0, 2, 3, 4])
    assert [letter.reason for letter in result.dead_letters] == ["max_attempts"]

    wf = trouper.Workflow()
    wf.task(name="numbers")(numbers)
    wf.map(over="numbers", name="all", concurrency=2, ordered=is_ordered)(same)
    result = await wf.execute()
    assert (result.status, result.failed_node) == ("failed", "all")


async def test_a_stray_cancelled_ends_nobody_else() -> None:
    """It would cancel the nursery that everybody lives in, and the run would say "completed"."""
    wf = trouper.Workflow()

    @wf.task
    async def bad() -> None:
        await raises_stray_cancelled()

    result = await wf.execute()
    assert result.status == "failed"
    assert isinstance(result.error, RuntimeError)
    assert isinstance(result.error.__cause__, trio.Cancelled)


@pytest.mark.parametrize("where", ["handler", "stop", "restart_on", "on_settled", "key"])
async def test_what_is_no_exception_breaks_the_run_off_from_anywhere(where: str) -> None:
    """P8: it passes; the ledger is closed, and who had a message in hand has lost none."""

    def passes(*_: Any) -> Any:
        raise Own(where)

    class Source:
        async def run(self, ctx: trouper.ActorContext) -> AsyncIterator[int]:
            if where == "on_settled":
                ctx.on_settled(passes)
            for n in range(3):
                yield n

    class Relay:
        async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
            if where == "stop":
                passes()

        async def run(self, ctx: trouper.ActorContext) -> AsyncIterator[int]:
            async for n in ctx:
                if n == 1 and where == "handler":
                    passes()
                if n == 1 and where == "restart_on":
                    raise ValueError(n)
                yield n

    wf = trouper.Workflow()
    wf.add(Source)
    options: dict[str, Any] = {"restart_on": passes} if where == "restart_on" else {}
    if where == "key":
        options["fan_out"] = trouper.Partition(passes)
    wf.add(Relay, depends_on="source", **options)
    wf.actor(name="one", depends_on="relay")(collects([]))
    wf.actor(name="two", depends_on="relay")(collects([]))
    run = wf.open()
    with pytest.RaisesGroup(pytest.RaisesExc(Own, match=where), flatten_subgroups=True):
        async with run:
            await trio.sleep_forever()
    result = await run.wait()
    assert result.status == "cancelled"
    assert result.reason.startswith(f"broken off by Own('{where}')")
    assert_edges_closed(result)
    if where == "handler":
        [letter] = [each for each in result.dead_letters if each.envelope.payload == 1]
        assert (letter.node, letter.reason) == ("relay", "stopped")


@pytest.mark.parametrize("error", [ValueError("no rule"), NoText()])
async def test_a_rule_that_raises_loses_neither_message_nor_failure(error: Exception) -> None:
    def rule(failure: Exception) -> bool:
        raise error

    async def bad() -> None:
        raise KeyError("first")

    result = await poisoned(bad, [], restart_on=rule).execute()
    assert result.status == "failed"
    assert isinstance(result.error, KeyError)
    assert "its restart_on" in result.reason
    assert type(error).__name__ in result.reason
    letter = next(each for each in result.dead_letters if each.envelope.payload == 1)
    assert (letter.reason, len(letter.failures)) == ("stopped", 1)
    assert_edges_closed(result)


async def test_a_key_function_without_a_text_for_its_failure_is_named() -> None:
    def key(n: int) -> int:
        if n == 1:
            raise NoText
        return n

    wf = trouper.Workflow()
    wf.actor(name="source", fan_out=trouper.Partition(key), max_restarts=0)(counts(3))
    wf.actor(name="one", depends_on="source")(collects([]))
    wf.actor(name="two", depends_on="source")(collects([]))
    result = await wf.execute()
    assert isinstance(result.error, trouper.PartitionError)
    assert "failed on 1: NoText(its text can't be made: ValueError)" in str(result.error)


async def test_a_child_without_a_text_for_its_failure_fails_its_parent() -> None:
    async def child(ctx: trouper.ActorContext) -> None:
        raise NoText

    wf = trouper.Workflow()

    @wf.actor(max_restarts=0)
    async def parent(ctx: trouper.ActorContext) -> None:
        await ctx.spawn(child, name="child", max_restarts=0)
        await trio.sleep_forever()

    result = await wf.execute()
    assert isinstance(result.error, trouper.ChildFailed)
    assert "'parent/child' failed: " in result.reason
    assert "NoText(its text can't be made: ValueError)" in result.reason


# -- cancelled, and not willing --------------------------------------------------------------


async def cancelled_in_hand(body: Callable[[Any], Any]) -> trouper.WorkflowResult:
    """Feed an actor two messages, cancel the run while it has the first in hand."""
    wf = trouper.Workflow()
    wf.actor(name="actor")(body)
    async with wf.open() as run:
        await run.send("first")
        await run.send("second")
        await wait_all_tasks_blocked()
        run.cancel()
    result = await run.wait()
    assert result.status == "cancelled"
    assert_edges_closed(result)
    return result


async def test_who_catches_the_cancel_and_asks_on_has_its_message_released() -> None:
    """X12: nobody knows how far its handler came."""

    async def body(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            with suppress(trio.Cancelled):  # and on to the next one
                await trio.sleep_forever()

    result = await cancelled_in_hand(body)
    assert result.edges[0].acknowledged == 0
    assert [letter.envelope.payload for letter in result.dead_letters] == ["first", "second"]


async def test_what_a_clean_up_raises_leaves_the_run_cancelled() -> None:
    async def body(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("in the clean-up")

    result = await cancelled_in_hand(body)
    assert [str(each) for each in result.nodes["actor"].failures] == ["ValueError: in the clean-up"]
    assert [each.reason for each in result.dead_letters] == ["stopped", "stopped"]


async def test_a_generator_that_yields_in_its_clean_up_ends() -> None:
    async def body(ctx: trouper.ActorContext) -> AsyncIterator[Any]:
        async for _ in ctx:
            try:
                await trio.sleep_forever()
            finally:
                yield "last words"

    result = await cancelled_in_hand(body)
    assert [each.envelope.payload for each in result.dead_letters] == ["first", "second"]


async def test_a_generator_that_can_not_be_closed_says_why() -> None:
    """Python closes a generator once; the second attempt must not hide what the first one said."""

    class Deaf:
        def __aiter__(self) -> "Deaf":
            return self

        async def __anext__(self) -> int:
            raise RuntimeError("async generator ignored GeneratorExit")

        async def aclose(self) -> None:
            raise StopAsyncIteration

    stage = Stage(lambda ctx: None)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        await drive_generator(cast("Any", Deaf()), stage.box, stage.outlet)


async def test_the_wait_for_a_handler_that_never_returns_is_shown(
    autojump_clock: MockClock,
) -> None:
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(5))

    @wf.actor(depends_on="source", capacity=1)
    async def stuck(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            await trio.sleep_forever()

    async with wf.open() as run:
        await trio.sleep(60)
        status = run.status()
        assert status.nodes["stuck"].depth == 1
        assert status.nodes["source"].blocked == pytest.approx(60)
        run.cancel()
