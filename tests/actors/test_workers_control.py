"""Pause, resume, stop, rate and death notices where an actor has several messages in hand."""

from contextlib import suppress
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trouper
from trouper.actors._child import ActorChild
from trouper.actors._workers_bodies import Crew

Context = trouper.ActorContext[Any, Any, Any, Any]


def pool(seconds: float, into: list[Any], *, leased: bool) -> Any:
    async def bodies(ctx: Context) -> None:
        async for message in ctx:
            await trio.sleep(seconds)
            into.append(message)

    async def blocks(ctx: Context) -> None:
        async def work() -> None:
            while True:
                async with ctx.leased() as message:
                    await trio.sleep(seconds)
                    into.append(message)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(work)

    return blocks if leased else bodies


@pytest.fixture(params=[False, True], ids=["bodies", "blocks"])
def leased(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def graph(seconds: float, into: list[Any], *, leased: bool, **options: Any) -> trouper.Workflow:
    workflow = trouper.Workflow()
    if not leased:
        options["concurrency"] = 3
    workflow.actor(name="pool", **options)(pool(seconds, into, leased=leased))
    return workflow


async def test_pause_holds_the_next_messages_of_all(
    autojump_clock: MockClock, leased: bool
) -> None:
    """X5: what is in hand is finished; nothing is lost by resuming."""
    done: list[int] = []
    async with graph(1, done, leased=leased).open() as run:
        for number in range(5):
            await run.send(number)
        await trio.sleep(0.5)
        run.pause("pool")
        await trio.sleep(10)
        assert sorted(done) == [0, 1, 2]
        run.resume("pool")
        await trio.sleep(5)
        assert sorted(done) == [0, 1, 2, 3, 4]
        run.pause("pool")
        await run.send(5)
        await trio.sleep(10)
        assert len(done) == 5
        run.resume("pool")
        await run.drain()
    assert sorted(done) == [0, 1, 2, 3, 4, 5]


async def test_stop_ends_each_after_its_message(autojump_clock: MockClock, leased: bool) -> None:
    """A2: stop does not interrupt what is in hand, and comes before what is queued."""
    done: list[int] = []
    async with graph(2, done, leased=leased).open() as run:
        for number in range(20):
            await run.send(number)
        await trio.sleep(1)
        await run.stop("pool")
        assert sorted(done) == [0, 1, 2]
        assert run.status().nodes["pool"].state == "done"
    assert len(run.dead_letters()) == 17


async def test_stop_ends_those_that_wait(autojump_clock: MockClock, leased: bool) -> None:
    async with graph(2, [], leased=leased).open() as run:
        await wait_all_tasks_blocked()
        await run.stop("pool")
        assert run.status().nodes["pool"].state == "done"


async def test_kill_ends_them_all_at_once(autojump_clock: MockClock, leased: bool) -> None:
    done: list[int] = []
    async with graph(100, done, leased=leased).open() as run:
        for number in range(3):
            await run.send(number)
        await trio.sleep(1)
        run.kill("pool")
        await wait_all_tasks_blocked()
        assert done == []
    assert [letter.reason for letter in run.dead_letters()] == ["killed"] * 3


async def test_a_rate_limit_is_that_of_all_together(
    autojump_clock: MockClock, leased: bool
) -> None:
    done: list[int] = []
    workflow = graph(0.001, done, leased=leased, rate=trouper.Rate(2, per=10))
    async with workflow.open() as run:
        for number in range(6):
            await run.send(number)
        await trio.sleep(1)
        assert len(done) == 2
        await trio.sleep(10)
        assert len(done) <= 4
        await run.drain(budget=100)
    assert sorted(done) == [0, 1, 2, 3, 4, 5]


async def test_each_body_has_the_newest_configuration(autojump_clock: MockClock) -> None:
    """X4: every message is handled under one configuration, whichever body has it."""
    seen: list[tuple[int, Any]] = []
    workflow = trouper.Workflow()

    @workflow.actor(concurrency=2)
    async def bodies(ctx: Context) -> None:
        async for number in ctx:
            before = ctx.config["v"]
            await trio.sleep(1)
            assert ctx.config["v"] == before
            seen.append((number, before))

    async with workflow.open(config={"v": 1}) as run:
        for number in range(2):
            await run.send(number)
        await trio.sleep(0.5)
        with trio.move_on_after(1):
            await run.reconfigure("bodies", config={"v": 2})
        for number in range(2, 6):
            await run.send(number)
        await run.drain()
    assert sorted(seen) == [(0, 1), (1, 1), (2, 2), (3, 2), (4, 2), (5, 2)]


async def test_the_number_of_bodies_changes_while_they_run(autojump_clock: MockClock) -> None:
    """P13: never more than n in flight, whatever n is now; fewer as messages are finished."""
    now = most = 0
    workflow = trouper.Workflow()

    @workflow.actor(concurrency=1)
    async def bodies(ctx: Context) -> None:
        nonlocal now, most
        async for _ in ctx:
            now += 1
            most = max(most, now)
            await trio.sleep(1)
            now -= 1

    async with workflow.open() as run:
        for number in range(40):
            await run.send(number)
        await trio.sleep(2.5)
        assert most == 1
        await run.reconfigure("bodies", concurrency=4)
        await trio.sleep(2.2)
        assert (now, most) == (4, 4)
        await run.reconfigure("bodies", concurrency=2)
        await trio.sleep(2.2)
        most = now
        await trio.sleep(5)
        assert most == 2
        result = await run.drain(budget=100)
    assert (result.status, result.edges[0].acknowledged) == ("completed", 40)


async def test_the_new_number_holds_in_the_next_incarnation(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    begun: list[int] = []

    @workflow.actor(concurrency=3)
    async def bodies(ctx: Context) -> None:
        begun.append(len(begun))
        async for message in ctx:
            if message == "crash" and len(begun) == 3:
                await run.reconfigure("bodies", concurrency=2)
                raise ValueError("once")

    async with workflow.open() as run:
        await wait_all_tasks_blocked()
        assert len(begun) == 3
        await run.send("crash")
        await wait_all_tasks_blocked()
        assert len(begun) == 5
        await run.drain()


async def test_a_shorter_limit_takes_effect_now(autojump_clock: MockClock, leased: bool) -> None:
    """A5"""
    workflow = graph(100, [], leased=leased, timeout=50, max_attempts=1)
    async with workflow.open() as run:
        await run.send(1)
        await trio.sleep(10)
        begun = trio.current_time()
        await run.reconfigure("pool", timeout=12)
        await trio.sleep(3)
        [letter] = run.dead_letters()
        assert letter.failures[0].type == "trouper.HandlerTimeout"
        assert "timeout=12 s" in letter.failures[0].message
        assert trio.current_time() - begun == pytest.approx(3)


async def test_a_limit_where_there_was_none(autojump_clock: MockClock) -> None:
    workflow = trouper.Workflow()
    done: list[int] = []

    @workflow.actor(max_attempts=1)
    async def single(ctx: Context) -> None:
        async for seconds in ctx:
            await trio.sleep(seconds)
            done.append(seconds)

    async with workflow.open() as run:
        await run.send(20)
        await run.send(15)
        await run.send(1)
        await trio.sleep(5)
        await run.reconfigure("single", timeout=10)
        await run.drain(budget=100)
    assert done == [20, 1]
    assert [letter.envelope.payload for letter in run.dead_letters()] == [15]


async def test_a_limit_is_taken_away_and_set_again(autojump_clock: MockClock, leased: bool) -> None:
    """A5: with None there is no limit any more; a new one holds from the next message on."""
    workflow = graph(100, [], leased=leased, timeout=5, max_attempts=1)
    async with workflow.open() as run:
        await run.send(1)
        await run.reconfigure("pool", timeout=None)
        await trio.sleep(10)
        assert run.dead_letters() == ()
        await run.reconfigure("pool", timeout=3)
        await trio.sleep(10)
        assert run.dead_letters() == ()
        await trio.sleep(100)
        await run.send(2)
        await trio.sleep(4)
        [letter] = run.dead_letters()
        assert letter.envelope.payload == 2
        assert "timeout=3 s" in letter.failures[0].message


async def test_a_limit_on_probation_goes_with_a_failure(autojump_clock: MockClock) -> None:
    """X4"""
    workflow = trouper.Workflow()
    done: list[int] = []

    @workflow.actor(max_attempts=1)
    async def single(ctx: Context) -> None:
        async for seconds in ctx:
            await trio.sleep(seconds)
            done.append(seconds)

    async with workflow.open() as run:
        await run.reconfigure("single", timeout=10, probation=60)
        await run.send(15)
        await run.send(20)
        await run.drain(budget=100)
    assert done == [20]


async def test_a_number_of_bodies_that_was_not_declared_stays(autojump_clock: MockClock) -> None:
    """S13"""
    workflow = trouper.Workflow()

    @workflow.actor
    async def single(ctx: Context) -> None:
        async for _ in ctx:
            pass

    async with workflow.open() as run:
        with pytest.raises(ValueError, match="declare it, concurrency=1 too, to change it later"):
            await run.reconfigure("single", concurrency=2)
        with pytest.raises(ValueError, match="concurrency of 'single' must be > 0"):
            await run.reconfigure("single", concurrency=0)


async def test_a_change_just_after_the_last_body_has_ended_is_no_error() -> None:
    """The nursery of the bodies is closed then, and their actor has not ended yet."""
    workflow = trouper.Workflow()
    ended = trio.Event()

    @workflow.actor(concurrency=2)
    async def brief(ctx: Context) -> None:
        if await ctx.receive() == "last":
            ended.set()

    async def change(run: trouper.LiveRun, concurrency: int) -> None:
        await ended.wait()
        with suppress(trouper.NotRunning):
            await run.reconfigure("brief", concurrency=concurrency)

    async with workflow.open() as run, trio.open_nursery() as nursery:
        for concurrency in range(3, 23):
            nursery.start_soon(change, run, concurrency)
        await run.send("first")
        await wait_all_tasks_blocked()
        await run.send("last")
    assert (await run.wait()).status == "completed"


@pytest.mark.parametrize("end", ["over", "failed"])
def test_no_body_is_started_where_all_have_come_to_their_end(end: str) -> None:
    """The same, whoever runs first: there is no nursery to start one in any more."""
    begun: list[Any] = []
    crew = Crew(ActorChild("brief", trouper.RestartPolicy()), begun.append, cast("Context", None))
    if end == "over":
        crew.is_over = True
    else:
        crew.failure = ValueError("the next incarnation has bodies of its own")
    crew.resize(3)
    assert (begun, crew.nursery) == ([], None)


async def test_a_change_while_there_are_no_bodies_holds_for_the_next(
    autojump_clock: MockClock,
) -> None:
    """A5: between two incarnations."""
    workflow, begun = trouper.Workflow(), list[str]()

    @workflow.actor(concurrency=1, backoff=trouper.Backoff(min=5, max=5))
    async def flaky(ctx: Context) -> None:
        begun.append("body")
        async for message in ctx:
            if message == "bad":
                raise ValueError(message)

    async with workflow.open() as run:
        await run.send("bad")  # three attempts; after the first, each restart takes 5 s
        await trio.sleep(2)
        assert run.status().nodes["flaky"].state == "restarting"
        begun.clear()
        await run.reconfigure("flaky", concurrency=3)
        await trio.sleep(20)
        assert begun[:3] == ["body"] * 3
