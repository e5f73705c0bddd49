"""What wakes a trio loop from other threads."""

import threading

import trio
from trio.testing import wait_all_tasks_blocked

from trouper.runtime.host._waker import Waker


async def test_many_wakes_are_one_look_and_none_is_lost() -> None:
    """X1: whoever wakes never waits, though nobody looks."""
    waker = Waker()
    looks: list[None] = []
    seen = trio.Event()

    def look() -> None:
        looks.append(None)
        seen.set()

    for _ in range(10_000):  # far more than the socket holds
        assert waker.wake()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waker.serve, look)
        await wait_all_tasks_blocked()
        before, seen = len(looks), trio.Event()
        assert 1 <= before < 10_000
        assert await trio.to_thread.run_sync(waker.wake)
        await seen.wait()
        assert len(looks) == before + 1
        nursery.cancel_scope.cancel()
    waker.close()


async def test_a_closed_one_says_so_to_every_thread() -> None:
    """No byte goes to a file that has the number of a closed one by then."""
    waker = Waker()
    refused = threading.Event()
    began = threading.Event()

    def wake_on() -> None:
        while waker.wake():
            began.set()
        refused.set()

    thread = threading.Thread(target=wake_on)
    thread.start()
    await trio.to_thread.run_sync(began.wait)
    waker.close()
    await trio.to_thread.run_sync(thread.join)
    assert refused.is_set()
    waker.close()  # once more does nothing
    assert not waker.wake()
