"""Ctrl-C, which may come at any point of what a thread does: nobody waits for ever after it."""

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import trio

import trouper
from harness.hosts import relaying
from trouper.runtime.host._far import Queue
from trouper.runtime.host._moment import Moment
from trouper.runtime.host._waker import Waker


class CtrlC:
    """Comes once; is sent until it was heard, for a signal just before a wait is heard after it."""

    def __init__(self) -> None:
        main = threading.main_thread().ident
        assert main is not None
        self._main = main
        self.has_come = False

    def hear(self, _number: int, _frame: object) -> None:
        if not self.has_come:
            self.has_come = True
            raise KeyboardInterrupt

    def send(self) -> None:
        signal.pthread_kill(self._main, signal.SIGINT)


@pytest.fixture
def ctrl_c() -> Iterator[CtrlC]:
    made = CtrlC()
    before = signal.signal(signal.SIGINT, made.hear)
    yield made
    signal.signal(signal.SIGINT, before)


def test_a_queue_is_awake_after_a_waking_that_was_interrupted() -> None:
    """Others had left the waking to that thread: what they posted waited until the end of days."""
    done, wakes = list[str](), list[Callable[[], None]]()
    is_interrupted = True

    def wake(run: Callable[[], None]) -> None:
        nonlocal is_interrupted
        if is_interrupted:
            is_interrupted = False
            queue.post(lambda: done.append("of another thread"))
            raise KeyboardInterrupt
        wakes.append(run)

    queue = Queue(wake)
    with pytest.raises(KeyboardInterrupt):
        queue.post(lambda: done.append("first"))
    wakes.pop()()
    assert done == ["first", "of another thread"]
    queue.post(lambda: done.append("last"))
    wakes.pop()()
    assert done[2:] == ["last"]


def test_a_queue_does_the_rest_after_a_job_that_was_interrupted() -> None:
    done, wakes = list[str](), list[Callable[[], None]]()
    queue = Queue(wakes.append)

    def interrupted() -> None:
        raise KeyboardInterrupt

    queue.post(interrupted)
    queue.post(lambda: done.append("rest"))
    with pytest.raises(KeyboardInterrupt):
        wakes.pop()()
    wakes.pop()()
    assert done == ["rest"]


def test_a_moment_is_waited_for_again_after_an_interrupted_wait(ctrl_c: CtrlC) -> None:
    moment, may_come = Moment(), threading.Event()

    def interrupt() -> None:
        may_come.wait()
        while not ctrl_c.has_come:
            ctrl_c.send()
            time.sleep(0.001)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        may_come.set()
        moment.wait()
    other.join()
    moment.come()
    moment.wait()
    moment.wait()


def test_a_call_that_is_interrupted_on_its_way_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended, wake = threading.Event(), Waker.wake

    async def there() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    def interrupted(waker: Waker) -> bool:
        monkeypatch.setattr(Waker, "wake", wake)
        raise KeyboardInterrupt

    with trouper.open_blocking(relaying()) as run:
        monkeypatch.setattr(Waker, "wake", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.call_there(there)
        assert ended.wait(60)
        assert run.ask(1, to="relay") == 1


def test_a_block_is_left_after_the_clean_up_also_when_its_drain_is_interrupted(
    ctrl_c: CtrlC,
) -> None:
    """X6: `Thread.join` would take the thread for ended, before Python 3.13."""
    workflow, cleaned_up = trouper.Workflow("slow"), list[str]()

    @workflow.actor
    async def slow(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        await ctx.stopping.wait()
        try:
            while not ctrl_c.has_come:
                ctrl_c.send()
                await trio.sleep(0.001)
            await trio.sleep_forever()
        finally:
            cleaned_up.append("slow")

    with pytest.raises(KeyboardInterrupt), trouper.open_blocking(workflow) as run:
        pass
    assert cleaned_up == ["slow"]
    assert run.has_ended
    assert run.result().reason == "interrupted while it drained"
