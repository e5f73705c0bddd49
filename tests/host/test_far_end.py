"""Calls that come at the very end of the far side: each is answered or refused, none waits."""

import asyncio
import gc
import threading
import weakref
from functools import partial
from typing import Literal

import pytest
import trio
import trio.testing

import trouper
from harness.hosts import in_asyncio
from trouper.runtime.host._far import Call, Far, FarSideEnded
from trouper.runtime.host._waker import Waker

Host = Literal["thread", "guest"]


async def nothing() -> None: ...


def test_two_threads_that_come_too_late_both_hear_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """X12: the one leaves the waking to the other, whose waking fails."""
    far, end = Far(), trio.Event()
    has_begun, both_are_in, has_ended, both_wait = (
        threading.Event(),
        threading.Barrier(3),
        threading.Event(),
        threading.Barrier(2),
    )

    async def main() -> None:
        has_begun.set()
        await end.wait()

    def be_in() -> None:  # called after the look whether it has ended, before the posting
        both_are_in.wait()
        has_ended.wait()

    def wake(_waker: Waker) -> bool:
        both_wait.wait()  # until the other has seen that somebody wakes, and has returned
        return False

    told: list[object] = []

    def call(answered: threading.Event) -> None:
        try:
            far.start(Call(nothing, answered.set))
        except FarSideEnded as error:
            told.append(error)
            answered.set()
        else:
            both_wait.wait()

    loop = threading.Thread(target=trio.run, args=(partial(far.serve, main, own_thread=True),))
    loop.start()
    has_begun.wait()
    monkeypatch.setattr(far, "refuse_forked", be_in)
    answers = [threading.Event(), threading.Event()]
    callers = [threading.Thread(target=call, args=(answered,)) for answered in answers]
    for caller in callers:
        caller.start()
    both_are_in.wait()
    monkeypatch.setattr(far, "refuse_forked", nothing_at_all)
    far.post(end.set)
    loop.join()
    monkeypatch.setattr(Waker, "wake", wake)
    has_ended.set()
    for caller in callers:
        caller.join()
    for answered in answers:
        assert answered.wait(60)
    assert len(told) == 1  # the other was answered: by a refusal


def nothing_at_all() -> None: ...


@pytest.mark.parametrize("host", ["thread", "guest"])
def test_what_waits_for_the_next_call_holds_nothing_of_the_last(host: Host) -> None:
    class Payload: ...

    async def main() -> None:
        workflow = trouper.Workflow("idle")
        workflow.actor(name="idle")(_idle)
        async with trouper.open(workflow, host=host) as run:
            assert isinstance(run, trouper.AsyncioRun)
            go_on = trio.Event()

            async def until_all_wait() -> None:
                await go_on.wait()
                await trio.testing.wait_all_tasks_blocked()

            async def take(_payload: Payload) -> None:
                go_on.set()

            another = asyncio.ensure_future(run.call_there(until_all_wait))
            await run.call_there(nothing)  # by then it has a task, and the next call another
            payload = Payload()
            held = weakref.ref(payload)
            await run.call_there(take, payload)
            del payload
            await another
            gc.collect()
            assert held() is None

    in_asyncio(main)


async def _idle(ctx: trouper.ActorContext[None, None, int, None]) -> None:
    async for _ in ctx:
        pass
