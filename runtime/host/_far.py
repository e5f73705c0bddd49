"""The far side of a bridge: the trio loop that runs the actors, as a host's thread sees it.

Rule 1: calls cross in both directions in bulk: whoever is first wakes the other side, once.
Rule 2: a cancel crosses, and the side that cancels waits until the other has cleaned up.
Rule 3: a call starts from the context variables of the caller.
"""

import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from typing import Any

import trio

from ._waker import Waker


class FarSideEnded(RuntimeError):
    """The loop that runs the actors has ended: a call can't cross any more."""


class ForkedAway(RuntimeError):
    """The loop that runs the actors is in the process that this one was forked from."""


class Queue:
    """What waits to cross in one direction. Thread-safe: a deque, and one wake-up for many."""

    __slots__ = ("_is_woken", "_waiting", "_wake")

    def __init__(self, wake: Callable[[Callable[[], None]], object]) -> None:
        """Make an empty one.

        Args:
            wake: makes the other side call a function soon; may raise if that side has ended.
        """
        self._wake = wake
        self._waiting: deque[Callable[[], object]] = deque()
        self._is_woken = False

    def post(self, job: Callable[[], object]) -> None:
        """Hand over a job.

        Raises:
            RuntimeError: the other side has ended; it will never run.
        """
        self._waiting.append(job)
        if not self._is_woken:
            self._is_woken = True
            try:
                self._wake(self.run)
            except RuntimeError:  # as told
                raise
            except BaseException:  # of a signal handler, in the middle of it
                self._wake_again()
                raise

    def run(self) -> None:
        """Do what waits now. Called on the other side.

        Not what is handed over meanwhile: that may be more, all the time, than is done here, and
        the loop would never get on.
        """
        # First: what is appended from here on wakes again.
        self._is_woken = False
        waiting = self._waiting
        for _ in range(len(waiting)):
            try:
                job = waiting.popleft()
            except IndexError:  # another thread does the rest: the far side has ended
                return
            try:
                job()
            except BaseException:  # of a signal handler: the rest must not wait for another job
                self._wake_again()
                raise

    def _wake_again(self) -> None:
        """Wake, after an interruption: others have left that to this thread, and would wait."""
        self._is_woken = False
        with suppress(BaseException):  # what has come first is raised
            self._wake(self.run)


class Call:
    """One call under way, from its posting to the moment that the caller hears how it ended."""

    __slots__ = ("_answer", "_fn", "_scope", "context", "error", "value", "will_be_cut")

    def __init__(self, fn: Callable[[], Awaitable[Any]], answer: Callable[[], object]) -> None:
        """Prepare a call.

        Args:
            fn: what is to be awaited there.
            answer: called there once it has ended; must not raise.
        """
        self._fn = fn
        self._answer = answer
        self.context = copy_context()
        self._scope: trio.CancelScope | None = None
        self.will_be_cut = False
        self.value: Any = None
        self.error: BaseException | None = None

    def refuse(self, cause: BaseException | None) -> None:
        """Answer that it came too late."""
        self.error = ended(cause)
        self._answer()

    def cancel(self) -> None:
        """Cancel it. Runs on the far side."""
        self.will_be_cut = True
        if self._scope is not None:
            self._scope.cancel()

    async def go(self, scope: trio.CancelScope) -> None:
        """Await it in this scope, and answer.

        Raises:
            BaseException: it was cut, or raised what ends the far side; it is not answered yet.
        """
        self._scope = scope
        try:
            if self.will_be_cut:
                scope.cancel()
            self.value = await self._fn()
        except Exception as error:
            self.error = error
        finally:
            self._scope = None
        self._answer()

    def was_cut(self, error: Exception | None) -> None:
        """Answer that it has ended after its cancel, with what its clean-up has raised."""
        self.error = error
        self._answer()


MOST_IDLE = 64
"""Tasks that are kept for calls to come."""


class Hands:
    """Tasks that await one call after another: a new task costs more than many a call."""

    def __init__(self, nursery: trio.Nursery, *, linger: bool) -> None:
        """Begin with none.

        Args:
            linger: whether each stays ready for one step after a call. A guest that has nothing to
                do hands its wait to a thread, and is back half a call later: the caller's next
                call, if it follows at once, comes before that.
        """
        self._nursery = nursery
        self._linger = linger
        self._idle: list[_Hand] = []
        self.is_closed = False
        """Whether none may be had any more; from then on `take` may be called in any thread."""

    def take(self, call: Call) -> None:
        """Have a call awaited, from its own context variables."""
        if self._idle:
            self._idle.pop().go_on(call)
            return
        if self.is_closed:
            call.refuse(None)
            return
        hand = _Hand(self._idle, linger=self._linger)
        hand.call = call
        try:
            call.context.run(self._nursery.start_soon, hand.work)
        except RuntimeError as error:  # the nursery is closed: the run has ended
            call.refuse(error)


class _Hand:
    """One of these tasks; and the abort function of its wait for the next call."""

    def __init__(self, idle: "list[_Hand]", *, linger: bool) -> None:
        self._idle = idle
        self._linger = linger
        self._task: trio.lowlevel.Task | None = None
        self._is_parked = False
        self.call: Call | None = None
        """What it is at; None: nothing."""
        self._own = Context()  # while it waits, it holds on to nothing of the last caller's

    async def work(self) -> None:
        """Await one call after another, until there are hands enough that wait for some."""
        self._task = trio.lowlevel.current_task()
        while self._has_call():
            failure: Exception | None = None
            # Call after call, until one is cancelled: a scope costs as much as half a call.
            scope = trio.CancelScope()
            try:
                with scope:
                    await self._work_in(scope)
            except Exception as error:
                failure = error
            except BaseException as error:
                if self.call is not None:
                    self.call.refuse(error)
                raise
            if self.call is not None:
                self.call.was_cut(failure)
                self.call = None
            if scope.cancel_called:
                await self._next()

    def _has_call(self) -> bool:
        return self.call is not None

    async def _work_in(self, scope: trio.CancelScope) -> None:
        while (call := self.call) is not None:
            await call.go(scope)
            self.call = None
            del call  # and what it holds: arguments, a value, context variables
            if not scope.cancel_called:
                await self._next()

    async def _next(self) -> None:
        """Wait for a call, unless enough others do."""
        if len(self._idle) >= MOST_IDLE:
            return
        assert self._task is not None
        self._task.context = self._own
        self._idle.append(self)
        if self._linger:
            await trio.lowlevel.cancel_shielded_checkpoint()
        if self.call is None:
            self._is_parked = True
            await trio.lowlevel.wait_task_rescheduled(self)

    def go_on(self, call: Call) -> None:
        """Take a call up, from its own context variables."""
        assert self._task is not None
        self.call = call
        self._task.context = call.context
        if self._is_parked:
            self._is_parked = False
            trio.lowlevel.reschedule(self._task)

    def __call__(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._idle.remove(self)
        return trio.lowlevel.Abort.SUCCEEDED


def ended(cause: BaseException | None = None) -> FarSideEnded:
    """Return the error of a call that came too late, or was under way at the end."""
    error = FarSideEnded("the run has ended, and with it the loop that this call had to cross into")
    error.__cause__ = cause
    return error


EXIT_LOOK = 0.2
"""Seconds between two looks whether the interpreter exits."""


class Far:
    """The far side while it is there: takes calls, and starts each in a task of its own."""

    def __init__(self) -> None:
        self._hands: Hands | None = None
        self._queue: Queue | None = None
        self._process = 0
        self.has_ended = False
        self.when_ended: list[Callable[[], object]] = []
        """Called there, at the end; they must not raise."""

    async def serve(
        self,
        main: Callable[[], Awaitable[None]],
        *,
        own_thread: bool,
        on_exit: Callable[[], object] | None = None,
    ) -> None:
        """Take calls while `main` runs; those still under way at its end are cancelled.

        Args:
            own_thread: whether it has a thread for itself, which the interpreter waits for when it
                exits.
            on_exit: called here then; None: `main` is cancelled, so that actors clean up.
        """
        self._process = os.getpid()
        waker = Waker() if own_thread else None
        queue = self._queue = Queue(_waking(waker))
        try:
            async with trio.open_nursery() as nursery:
                self._hands = Hands(nursery, linger=not own_thread)
                if waker is not None:
                    nursery.start_soon(waker.serve, queue.run)
                    nursery.start_soon(_watch_exit, on_exit or nursery.cancel_scope.cancel)
                await main()
                # What the end of the run has answered gets home before the rest is cut.
                await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        finally:
            self.has_ended = True
            if self._hands is not None:
                self._hands.is_closed = True
            if waker is not None:
                waker.close()
            queue.run()  # what was posted since nobody looks any more: it hears that it is late
            for hear in tuple(self.when_ended):
                hear()

    def post(self, job: Callable[[], object]) -> None:
        """Run a function there soon, from any thread; it must not raise.

        Raises:
            FarSideEnded: nobody will.
            ForkedAway: nobody here will.
        """
        if self._queue is None or self.has_ended:
            raise ended()
        self.refuse_forked()
        try:
            self._queue.post(job)
        except trio.RunFinishedError as error:
            # Others may have left the waking to this thread. They have to hear of it too.
            self._queue.run()
            raise ended(error) from None

    def refuse_forked(self) -> None:
        """Do nothing, unless this process was forked from the one that the loop runs in.

        Raises:
            ForkedAway: it is; threads are not forked, so nothing would ever answer.
        """
        if self._process and not self.has_ended and os.getpid() != self._process:
            raise ForkedAway(
                "this run was opened before the process was forked, and its actors run in the "
                "parent; open one here, after the fork (gunicorn --preload: not at import, but in "
                "the app's lifespan or in post_fork)"
            )

    def start(self, call: Call) -> None:
        """Start a call there, from any thread.

        Raises:
            FarSideEnded, ForkedAway: it never starts.
        """
        if self._hands is None:
            raise ended()
        self.post(partial(self._hands.take, call))


def _waking(waker: Waker | None) -> Callable[[Callable[[], None]], object]:
    """Return how another thread has this loop run a function soon."""
    if waker is None:  # a guest: its loop is in the hands of the host
        return trio.lowlevel.current_trio_token().run_sync_soon

    def wake(_run: Callable[[], None]) -> None:
        if not waker.wake():
            raise trio.RunFinishedError

    return wake


async def _watch_exit(on_exit: Callable[[], object]) -> None:
    # No thread that joins the main one: it would be left over whenever a run has ended.
    while threading.main_thread().is_alive():  # noqa: ASYNC110  # there is no event for it
        await trio.sleep(EXIT_LOOK)
    on_exit()
