"""The line of a queue: who gets the next place, and how one is let go."""

import trio
from trio.testing import wait_all_tasks_blocked

from trouper.runtime.tasks._queues import Queue, Seat


async def test_first_come_first_served_but_those_that_began_go_first() -> None:
    queue, order = Queue("q", 1), list[str]()

    async def wait(name: str, *, first: bool) -> None:
        await queue.take(first=first)
        order.append(name)
        queue.give()

    await queue.take(first=False)
    async with trio.open_nursery() as nursery:
        for name, first in (("a", False), ("b", False), ("returns", True), ("again", True)):

            async def one(name: str = name, first: bool = first) -> None:
                await wait(name, first=first)

            nursery.start_soon(one)
            await wait_all_tasks_blocked()
        queue.give()
    assert order == ["returns", "again", "a", "b"]
    assert queue.taken == 0


async def test_a_queue_that_is_widened_lets_those_in_that_wait() -> None:
    queue = Queue("q", 1)
    await queue.take(first=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: queue.take(first=False))
        await wait_all_tasks_blocked()
        assert queue.taken == 1
        queue.resize(2)
    assert queue.taken == 2


async def test_a_task_that_no_longer_waits_for_its_place_lets_it_go() -> None:
    """It has called another task before the place for going on has come."""
    queue = Queue("q", 1)
    seat = Seat(queue)
    await seat.sit(first=False)
    seat.go_away()
    await queue.take(first=False)  # another task
    async with trio.open_nursery() as nursery:
        nursery.start_soon(seat.come_back)
        await wait_all_tasks_blocked()
        seat.go_away()
        queue.give()
    assert queue.taken == 0
    await seat.come_back()
    assert queue.taken == 1
    seat.leave()
    seat.leave()
    assert queue.taken == 0


async def test_a_place_that_comes_with_a_cancel_goes_to_the_next() -> None:
    queue, scope = Queue("q", 1), trio.CancelScope()
    await queue.take(first=False)

    async def cancelled() -> None:
        with scope:
            await queue.take(first=False)

    def give_and_cancel() -> None:
        # From another thread: the place is given, and its new owner hears of the cancel first.
        token.run_sync_soon(scope.cancel)
        queue.give()

    token = trio.lowlevel.current_trio_token()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancelled)
        await wait_all_tasks_blocked()
        await trio.to_thread.run_sync(give_and_cancel)
    assert scope.cancelled_caught
    assert queue.taken == 0
