"""Queues: how many tasks run at once, and that none of them waits for ever."""

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from trouper.errors import RuntimeUserError

env = trouper.TaskEnvironment("queues")
QUEUES = {"gpu": 1, "io": {"limit": 2}}


class Room:
    """Counts who is in it at once."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.guard = threading.Lock()

    def __enter__(self) -> None:
        with self.guard:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self.guard:
            self.inside -= 1


room = Room()


@pytest.fixture(autouse=True)
def queues_are_configured() -> None:
    trouper.init(queues=QUEUES)
    room.most = 0


def run(task: Any, *args: Any, **parameters: Any) -> Any:
    (value,) = trouper.with_runcontext(**parameters).run(task, *args).outputs()
    return value


@env.task
async def leaf(n: int) -> int:
    with room:
        await trio.lowlevel.checkpoint()
        return n


@env.task(queue="gpu")
async def on_gpu(n: int) -> int:
    with room:
        await trio.lowlevel.checkpoint()
    value: int = n
    return value


@env.task(queue="gpu")
async def above(n: int) -> int:
    """Waits for two of the same queue, which has one place."""
    with room:
        await trio.lowlevel.checkpoint()
    both = await trouper.gather(on_gpu(n), on_gpu(n + 1))
    with room:
        await trio.lowlevel.checkpoint()
    return sum(both)


@env.task(queue="gpu")
def in_thread(n: int) -> int:
    with room:
        pass
    below = above.wait(n) + on_gpu.wait(n)
    with room:
        pass
    return below


# -- how many at once -----------------------------------------------------------------------------


@pytest.mark.parametrize(("queue", "most"), [("gpu", 1), ("io", 2), (None, 10)])
async def test_a_queue_of_a_run_limits_its_tasks(queue: str | None, most: int) -> None:
    go_on = trio.Event()

    @env.task(name=f"stays_{queue}")
    async def stays(n: int) -> int:
        with room:
            await go_on.wait()
            return n

    @env.task(name=f"fan_{queue}")
    async def fan() -> int:
        return sum(await trouper.gather(*(stays(n) for n in range(10))))

    async with trouper.with_runcontext(queue=queue).open(fan) as opened:
        await wait_all_tasks_blocked()
        assert room.inside == most
        phases = [each.phase for each in opened.actions().walk()]
        assert phases.count("waiting") == 10 - most
        go_on.set()
    assert opened.outputs() == (45,)
    assert room.most == most


def test_a_task_s_own_queue_wins_over_that_of_the_run() -> None:
    @env.task(name="mixed")
    async def mixed() -> list[int]:
        return await trouper.gather(on_gpu(1), leaf(2))

    ended = trouper.with_runcontext(queue="io").run(mixed)
    assert {each.task: each.queue for each in ended.actions().walk()} == {
        "mixed": "io",
        "on_gpu": "gpu",
        "leaf": "io",
    }


def test_the_queue_of_an_environment_is_that_of_its_tasks() -> None:
    narrow = trouper.TaskEnvironment("narrow", queue="gpu")

    @narrow.task
    async def one() -> None: ...

    ended = trouper.with_runcontext().run(one)
    assert ended.actions().queue == "gpu"


def test_maps_and_threads_keep_to_the_limit() -> None:
    @env.task(name="mapped", queue="io")
    def mapped(n: int) -> int:
        with room:
            return n

    @env.task(name="maps")
    async def maps() -> int:
        return sum([each async for each in trouper.map(mapped, range(20))])

    assert run(maps) == 190
    assert room.most <= 2


async def test_runs_of_one_process_share_the_places() -> None:
    begun, go_on = trio.Event(), trio.Event()

    @env.task(name="holds", queue="gpu")
    async def holds() -> None:
        begun.set()
        await go_on.wait()

    runner = trouper.with_runcontext()
    async with runner.open(holds) as first:
        await begun.wait()
        async with runner.open(on_gpu, 1) as second:
            await wait_all_tasks_blocked()
            assert (first.actions().phase, second.actions().phase) == ("running", "waiting")
            go_on.set()
            await second.wait.aio()
    assert second.outputs() == (1,)


def test_what_may_be_interrupted_stands_in_its_action() -> None:
    """As the task says; what the run says counts for all."""
    may = trouper.TaskEnvironment("may", interruptible=True)

    @may.task
    async def stream() -> AsyncIterator[int]:
        yield 1

    @may.task(interruptible=False)
    async def may_not() -> None: ...

    @may.task
    def below() -> None: ...

    @may.task
    async def root() -> None:
        await below.aio()
        await may_not()
        _ = [each async for each in stream()]

    def seen(**parameters: Any) -> dict[str, bool]:
        ended = trouper.with_runcontext(**parameters).run(root)
        return {each.task: each.interruptible for each in ended.actions().walk()}

    assert seen() == {"root": True, "below": True, "may_not": False, "stream": True}
    assert set(seen(interruptible=True).values()) == {True}
    assert set(seen(interruptible=False).values()) == {False}
    assert trouper.with_runcontext().run(stream).actions().interruptible


# -- nobody waits for ever ------------------------------------------------------------------------


def test_a_task_that_waits_for_others_gives_its_place_back() -> None:
    """One place, and tasks that call each other in it, from threads too."""

    @env.task(name="many", queue="gpu")
    async def many() -> int:
        return sum(await trouper.gather(*(above(n) for n in range(4)), in_thread.aio(3)))

    assert run(many) == sum(2 * n + 1 for n in range(4)) + 7 + 3
    assert room.most == 1


def test_a_place_is_given_back_through_tasks_without_a_queue() -> None:
    @env.task(name="between")
    async def between(n: int) -> int:
        return await on_gpu(n)

    @env.task(name="outer", queue="gpu")
    async def outer() -> int:
        return await between(3)

    assert run(outer) == 3


@pytest.mark.parametrize("depth", [100])
def test_deep_calls_of_one_queue_come_to_their_end(depth: int) -> None:
    @env.task(name="deep_async")
    async def deep_async(n: int) -> int:
        value: int = 0 if n == 0 else 1 + await deep_async(n - 1)
        return value

    @env.task(name="deep_sync")
    def deep_sync(n: int) -> int:
        value: int = 0 if n == 0 else 1 + deep_sync(n - 1)
        return value

    assert run(deep_async, depth, queue="gpu") == run(deep_sync, depth, queue="gpu") == depth


def test_a_run_that_a_task_starts_finds_a_place() -> None:
    """It is a run of its own, and the task that has started it waits for it."""

    @env.task(name="starts", queue="gpu")
    async def starts() -> int:
        inner = await trouper.with_runcontext().run.aio(on_gpu, 7)
        (value,) = inner.outputs()
        number: int = value
        return number

    @env.task(name="starts_in_thread", queue="gpu")
    def starts_in_thread() -> int:
        return int(trouper.with_runcontext(queue="gpu").run(leaf, 7).outputs()[0])

    wf = trouper.Workflow("nodes")

    @wf.task
    async def node() -> int:
        return await on_gpu(7)

    @env.task(name="starts_graph", queue="gpu")
    async def starts_graph() -> int:
        return int((await trouper.with_runcontext().run.aio(wf)).outputs()[0])

    assert run(starts) == run(starts_in_thread) == run(starts_graph) == 7


def test_a_stream_runs_in_the_place_of_its_reader() -> None:
    @env.task(name="numbers")
    async def numbers(n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield await on_gpu(number)

    @env.task(name="reads", queue="gpu")
    async def reads() -> list[int]:
        return [await on_gpu(number) async for number in numbers(3)]

    assert run(reads, queue="gpu") == [0, 1, 2]
    assert run(numbers, 3, queue="gpu") == 2
    with pytest.raises(ValueError, match="queue has no effect on task 'ticks', which yields"):

        @env.task(queue="gpu")
        async def ticks() -> AsyncIterator[int]:
            yield 1


# -- failures and cancels -------------------------------------------------------------------------


def test_a_failed_task_gives_its_place_back() -> None:
    @env.task(name="breaks", queue="gpu")
    async def breaks() -> None:
        raise OSError("broken")

    @env.task(name="goes_on", queue="gpu")
    async def goes_on() -> int:
        for _ in range(3):
            with pytest.raises(RuntimeUserError, match="broken"):
                await breaks()
        with room:
            pass
        return await on_gpu(1)

    assert run(goes_on) == 1
    assert run(on_gpu, 2) == 2


async def test_who_is_cancelled_leaves_the_line() -> None:
    begun, go_on = trio.Event(), trio.Event()

    @env.task(name="keeps", queue="gpu")
    async def keeps() -> None:
        begun.set()
        await go_on.wait()

    runner = trouper.with_runcontext()
    async with runner.open(keeps):
        await begun.wait()
        async with runner.open(on_gpu, 1) as waiting:
            await wait_all_tasks_blocked()
            waiting.abort()
        assert waiting.phase == waiting.actions().phase == "cancelled"
        go_on.set()
    assert (await runner.run.aio(on_gpu, 2)).outputs() == (2,)


async def test_a_task_that_is_cancelled_while_it_waits_for_another_ends() -> None:
    begun = trio.Event()

    @env.task(name="sleeps", queue="gpu")
    async def sleeps() -> None:
        begun.set()
        await trio.sleep_forever()

    @env.task(name="waits_for_it", queue="gpu")
    async def waits_for_it() -> None:
        await sleeps()

    runner = trouper.with_runcontext()
    async with runner.open(waits_for_it) as aborted:
        await begun.wait()
        aborted.abort()
    assert [each.phase for each in aborted.actions().walk()] == ["cancelled", "cancelled"]
    assert (await runner.run.aio(on_gpu, 2)).outputs() == (2,)


def test_time_in_the_line_is_not_the_task_s() -> None:
    """`timeout` begins when it has a place."""

    @env.task(name="timed", queue="gpu", timeout=3600.0, retries=1)
    async def timed(n: int) -> int:
        with room:
            return n

    @env.task(name="two_timed")
    async def two_timed() -> int:
        return sum(await trouper.gather(timed(1), timed(2)))

    assert run(two_timed) == 3
    assert room.most == 1


# -- what is refused ------------------------------------------------------------------------------


def test_an_unknown_queue_is_an_error_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"queue 'gup' of run .* did you mean 'gpu'\?"):
        run(leaf, 1, queue="gup")

    @env.task(name="lost", queue="gqu")
    async def lost() -> None: ...

    with pytest.raises(ValueError, match=r"queue 'gqu' of task 'lost' .* did you mean 'gpu'\?"):
        run(lost)

    @env.task(name="calls_lost")
    async def calls_lost() -> None:
        await lost()

    with pytest.raises(RuntimeUserError, match="queue 'gqu' of task 'lost'") as caught:
        run(calls_lost)
    assert caught.value.code == "ValueError"
    trouper.init()
    with pytest.raises(ValueError, match=r"there are none yet .*trouper\.init\(queues="):
        run(leaf, 1, queue="gpu")


def test_a_configured_queue_is_that_of_a_run() -> None:
    trouper.init(run={"queue": "io"}, queues=QUEUES)
    assert trouper.with_runcontext().run(leaf, 1).actions().queue == "io"
