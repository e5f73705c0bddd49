"""The near side on asyncio: awaits calls that run on the far side. Imported when it is needed."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import copy_context
from functools import partial
from typing import Any

import trio

from .._leaf import only_leaf
from ._far import Call, Far, FarSideEnded, Queue
from ._give_way import GiveWay, HostGivesWay
from ._hosted import HostKind, not_in_trio
from ._outlast import outlast
from ._raising import raise_error

Main = Callable[[], Awaitable[None]]


class AsyncioBridge:
    """Runs a trio loop for an asyncio program, and calls into it."""

    def __init__(self, kind: HostKind) -> None:
        self.loop = asyncio.get_running_loop()
        self._kind: HostKind = kind
        self._thread_id = threading.get_ident()
        self._thread: threading.Thread | None = None
        self._home = Queue(self._wake_home)
        self.far = Far()
        self._far_steps = GiveWay()
        self._turns: AbstractContextManager[None] = nullcontext()
        """Held while somebody here waits for what goes on there; a guest needs no lock for it."""
        if kind == "thread":
            self._turns = HostGivesWay(self.loop.call_later, self._far_steps)
        self._opened: asyncio.Future[None] = self.loop.create_future()
        self.over: asyncio.Future[None] = self.loop.create_future()
        """Done when the trio loop is no more."""
        self._end_with_loop: asyncio.Task[None] | None = None

    # -- life --------------------------------------------------------------------------------

    async def open(self, main: Main, leave: Callable[[str], object]) -> bool:
        """Start the trio loop, and wait until `note_open` is called; False: it has ended before.

        Args:
            main: what it runs.
            leave: ends that, for the reason given: this task was cancelled.
        """
        self._start(main)
        if self._kind == "guest":
            self._end_with_loop = self.loop.create_task(self._hold_loop(leave), name="trouper")
        try:
            with self._turns:
                await asyncio.wait([self._opened, self.over], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            leave("the task that opened it was cancelled")
            await self.join(_nothing)
            raise
        return self._opened.done()

    async def _hold_loop(self, leave: Callable[[str], object]) -> None:
        """Let `asyncio.run()`, which cancels what is left at its end, wait for a guest that is.

        Nobody else would run its actors' clean-up: it has no thread of its own.
        """
        while not self.over.done():
            try:
                await asyncio.wait([self.over])
            except asyncio.CancelledError:
                leave("the event loop that it was a guest of ends")

    def note_open(self) -> None:
        """Say, on the far side, that `main` has got on."""
        self.home(partial(_set, self._opened))

    def _start(self, main: Main) -> None:
        serve = partial(self.far.serve, main, own_thread=self._kind == "thread")
        if self._kind == "guest":
            self._start_guest(serve)
            return
        # No daemon: what actors have to clean up is cleaned up, even if nobody ever stops them.
        # The actors see the context variables of whoever opens the run, as they do in trio.
        args = (self._run_in_thread, serve)
        self._thread = threading.Thread(target=copy_context().run, args=args, name="trouper")
        self._thread.start()

    def _start_guest(self, serve: Main) -> None:
        try:
            trio.lowlevel.start_guest_run(
                serve,
                run_sync_soon_threadsafe=self.loop.call_soon_threadsafe,
                run_sync_soon_not_threadsafe=self.loop.call_soon,
                done_callback=self._guest_done,
                host_uses_signal_set_wakeup_fd=True,
            )
        except RuntimeError as error:
            raise RuntimeError(
                "this thread has a guest already, and trio has one loop in a thread; leave "
                "host='guest' out for all but one run"
            ) from error

    def _run_in_thread(self, serve: Main) -> None:
        error: BaseException | None = None
        try:
            trio.run(serve, instruments=[self._far_steps])
        except BaseException as caught:
            error = only_leaf(caught)
        self.home(partial(self._end, error))

    def _guest_done(self, outcome: Any) -> None:
        try:
            outcome.unwrap()
        except BaseException as error:
            self._end(only_leaf(error))
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        if self.over.done():
            return
        if error is None:
            self.over.set_result(None)
        else:
            self.over.set_exception(error)

    async def join(self, on_cancel: Callable[[], object]) -> None:
        """Wait until the trio loop is no more, whatever happens.

        Args:
            on_cancel: called when the task that waits is cancelled for the first time.

        Raises:
            BaseException: what ended it, if it was no normal end.
            asyncio.CancelledError: this task was cancelled meanwhile.
        """
        try:
            with self._turns:
                await outlast(self.over, on_cancel, gives_way=self._kind == "thread")
        finally:
            if self._thread is not None:
                self._thread.join()  # it has said that it is over, and has nothing more to do

    async def let_others_run(self) -> None:
        """Give every other task of this loop its turn."""
        await asyncio.sleep(0)

    # -- crossing ----------------------------------------------------------------------------

    def home(self, job: Callable[[], object]) -> None:
        """Run a function in the asyncio loop soon, from any thread; nothing if it is closed."""
        with suppress(RuntimeError):
            self._home.post(job)

    def _wake_home(self, run: Callable[[], None]) -> None:
        if threading.get_ident() == self._thread_id:
            self.loop.call_soon(run)
        else:
            self.loop.call_soon_threadsafe(run)

    async def call(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **named: Any) -> Any:
        """Await `fn(...)` on the far side; a cancel crosses, and waits for the end there.

        Raises:
            FarSideEnded: the run has ended.
            BaseException: what `fn` raised.
        """
        self._refuse_elsewhere()
        answer = _Answer(self.loop.create_future())
        # A guest is in this loop's thread: no need to go round once more.
        arrive = answer.arrive if self._kind == "guest" else partial(self.home, answer.arrive)
        call = Call(partial(fn, *args, **named), arrive)
        self.far.start(call)
        try:
            with self._turns:  # as in `wait`, and not by it: a coroutine more is felt here
                await answer.future
        except asyncio.CancelledError:
            if answer.has_come:
                raise
            await self._cut(call, answer)
            if call.error is None or isinstance(call.error, FarSideEnded):
                raise
            # Its clean-up failed: that matters more.
        # Not in the handler, where the cancel would take the place of what it was raised from.
        if call.error is not None:
            raise_error(call)
        return call.value

    async def wait(self, future: "asyncio.Future[None]") -> None:
        """Wait for a future that the far side has done; whose loop gets its turns meanwhile."""
        with self._turns:
            await future

    def _refuse_elsewhere(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        # A guest's tasks run in the thread of the loop, which says that it runs.
        if loop is None or (self._kind == "guest" and trio.lowlevel.in_trio_task()):
            raise not_in_trio("it is for asyncio")
        if loop is not self.loop:
            raise RuntimeError(
                "this run was opened in another event loop; use it there, or open one here"
            )

    async def _cut(self, call: Call, answer: "_Answer") -> None:
        """Cancel a call and wait for its end, through every further cancel."""
        answer.future = self.loop.create_future()
        with suppress(FarSideEnded):
            self.far.post(call.cancel)
        with suppress(asyncio.CancelledError), self._turns:
            await outlast(answer.future, _nothing, gives_way=self._kind == "thread")


class _Answer:
    """Where the end of a call arrives."""

    __slots__ = ("future", "has_come")

    def __init__(self, future: "asyncio.Future[None]") -> None:
        self.future = future
        self.has_come = False

    def arrive(self) -> None:
        self.has_come = True
        if not self.future.done():
            self.future.set_result(None)


def _nothing() -> None: ...


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
