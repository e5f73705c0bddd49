"""The live handle of a run, for synchronous programs: as `LiveRun`, and every wait blocks."""

import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Any, Never, Unpack

import trio

from ...channels._overflow import OverflowPolicy
from .._leaf import only_leaf
from .._reconfigure import Changes
from .._report import WorkflowResult
from .._run import DRAIN_BUDGET, LiveRun, why_left
from .._stream import Stream, check_many
from ._crossing import Crossing
from ._far import Call, Far, FarSideEnded, ForkedAway
from ._give_way import GiveWay
from ._hosted import AskOptions, HostedRun, SendOptions, at_once, not_in_trio
from ._moment import Moment
from ._raising import raise_error
from ._session import Session

log = logging.getLogger("trouper")


class BlockingRun(HostedRun):
    """What `with trouper.open_blocking(wf) as run:` gives. Leaving the block drains the run.

    Ctrl-C while one of its methods waits cancels that wait; the far side is waited for.
    """

    def __init__(self, live: LiveRun) -> None:
        super().__init__(Session(live, self._has_opened))
        self._opened = Moment()
        """When the run has begun, or has ended without having begun."""
        self._over = Moment()
        """When nothing more happens in its thread."""
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._on_exit: Callable[[], object] | None = None
        """What is done when the interpreter exits; None: everything is cancelled."""

    # -- life --------------------------------------------------------------------------------

    def start(self) -> "BlockingRun":
        """Begin without a block, for a process that serves: its exit drains the run.

        `run.drain()` ends it before, and its thread with it. Call this in the process that uses the
        run, not before a fork. Errors: as of `with`.
        """
        self._on_exit = self._session.leave
        self._session.ends_with_run = True
        return self.__enter__()

    def __enter__(self) -> "BlockingRun":
        self._refuse_second_use(is_entered=self._thread is not None)
        # No daemon: what actors have to clean up is cleaned up, even if nobody ever stops them.
        # The actors see the context variables of whoever opens the run, as they do in trio.
        args = (self._run,)
        self._thread = threading.Thread(target=copy_context().run, args=args, name="trouper")
        self._thread.start()
        try:
            self._opened.wait()
        except BaseException:
            self._leave("opening it was interrupted")
            raise
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def _run(self) -> None:
        try:
            serve = partial(
                self._far.serve, self._session.main, own_thread=True, on_exit=self._on_exit
            )
            trio.run(serve, instruments=[GiveWay()])
        except BaseException as error:
            self._error = only_leaf(error)
            if self._on_exit is not None and self._opened.has_come:  # there is no block to raise it
                log.error("run %s was broken off: %r", self.name, self._error)
        finally:
            self._has_opened()
            self._over.come()

    def _has_opened(self) -> None:
        if not self._opened.has_come:
            self._opened.come()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(why_left(exc))
        if self._error is not None and exc is None:
            raise self._error

    def _leave(self, why_cancelled: str) -> None:
        thread = self._thread
        assert thread is not None
        try:
            self._leave_soon(why_cancelled)
            self._wait_over(thread)
        except BaseException:
            self._leave_soon("interrupted while it drained")
            self._wait_over(thread)
            raise

    def _wait_over(self, thread: threading.Thread) -> None:
        if thread.is_alive():  # else it has ended, or is in the process that this was forked from
            # First: before Python 3.13 a `join` that Ctrl-C interrupts takes it for ended.
            self._over.wait()
        thread.join()

    def call_there(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **named: Any) -> Any:
        """Await `fn(...)` in trio, where the actors run, and return what it gives.

        Raises:
            RuntimeError: the run has not begun, or has ended.
            BaseException: what `fn` raised.
        """
        return self._call(fn, *args, **named)

    def _call(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **named: Any) -> Any:
        if self._thread is None:
            raise self._not_entered()
        if self._thread is threading.current_thread():
            raise not_in_trio("it would block those that it waits for")
        ended = Moment()
        call = Call(partial(fn, *args, **named), ended.come)
        has_started = False
        try:
            self._far.start(call)
            has_started = True
            ended.wait()
        except (FarSideEnded, ForkedAway):
            raise
        except BaseException:  # Ctrl-C
            with suppress(FarSideEnded):
                self._far.post(call.cancel)
            if has_started:  # else it may be on its way or not
                ended.wait()
            raise
        if call.error is not None:
            raise_error(call)
        return call.value

    # -- as of a live run --------------------------------------------------------------------

    def send(self, x: Any, to: Any = None, **options: Unpack[SendOptions]) -> None:
        """As `LiveRun.send`: blocks while the node's inlet is full."""
        with self._told_as_ended(x):
            self._call(self._live.send, x, to, **options)

    def ask(self, x: Any, to: Any, **options: Unpack[AskOptions]) -> Any:
        """As `LiveRun.ask`."""
        with self._told_as_ended(x):
            return self._call(self._live.ask, x, to, **options)

    def drain(self, budget: float = DRAIN_BUDGET) -> WorkflowResult:
        """As `LiveRun.drain`."""
        with suppress(FarSideEnded):
            result: WorkflowResult = self._call(self._live.drain, budget)
            return result
        return self._live.result()

    def wait(self) -> WorkflowResult:
        """As `LiveRun.wait`."""
        with suppress(FarSideEnded):
            result: WorkflowResult = self._call(self._live.wait)
            return result
        return self._live.result()

    def redeliver(self, what: Any) -> int:
        """As `LiveRun.redeliver`."""
        with self._told_as_over("redeliver"):
            back: int = self._call(self._live.redeliver, what)
            return back

    def stop(self, node: Any) -> None:
        """As `LiveRun.stop`."""
        with suppress(FarSideEnded):
            self._call(self._live.stop, node)

    def pause(self, node: Any) -> None:
        """As `LiveRun.pause`."""
        with self._told_as_over("pause"):
            self._call(at_once, self._live.pause, node)

    def resume(self, node: Any) -> None:
        """As `LiveRun.resume`."""
        with suppress(FarSideEnded):
            self._call(at_once, self._live.resume, node)

    def kill(self, node: Any) -> None:
        """As `LiveRun.kill`."""
        with suppress(FarSideEnded):
            self._call(at_once, self._live.kill, node)

    def reconfigure(self, node: Any, **changes: Unpack[Changes]) -> None:
        """As `LiveRun.reconfigure`."""
        with self._told_as_over("reconfigure"):
            self._call(self._live.reconfigure, node, **changes)

    def stream(
        self,
        node: Any,
        *,
        capacity: float = 64,
        overflow: OverflowPolicy = "block",
        **unknown: Never,
    ) -> "BlockingStream":
        """As `LiveRun.stream`; up to 1,024 messages more are under way between the threads."""
        if self._thread is None:
            raise self._not_entered()
        return BlockingStream(
            self._live.stream(node, capacity=capacity, overflow=overflow, **unknown),
            self._call,
            self._far,
        )


class BlockingStream:
    """`with run.stream(node) as xs: for x in xs`, from synchronous code."""

    def __init__(self, stream: Stream, call: Callable[..., Any], far: Far) -> None:
        self._call = call
        self._far = far
        self._crossing = Crossing(stream, far, self._wake)
        self._lot = 0
        """Messages that may be read before the next look at all else."""
        self._reading = threading.RLock()
        self._is_news = False
        """Whether there may be something that was not there at the last look."""
        self._bar = threading.Lock()
        """Where the reader waits; shut."""
        self._bar.acquire()
        self._is_open = False

    @property
    def dropped(self) -> int:
        """Messages that this reader has missed because it was slow (`overflow=`)."""
        return self._crossing.stream.dropped

    def __enter__(self) -> "BlockingStream":
        if self._is_open:
            raise RuntimeError("this stream is already open; call run.stream() again for another")
        self._is_open = True
        try:
            self._call(self._crossing.open)
        except FarSideEnded:
            self._crossing.open_late()
        except BaseException:  # Ctrl-C: nobody leaves a block that was not entered
            self._crossing.close_soon()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lot = 0
        with suppress(FarSideEnded, ForkedAway):
            self._call(self._crossing.close)

    def __iter__(self) -> Iterator[Any]:
        if not self._is_open:
            raise RuntimeError(
                "write `with run.stream(...) as xs:` and loop over xs: a loop that is left would "
                "hold up the graph"
            )
        return self

    def __next__(self) -> Any:
        with self._reading:
            while True:
                if not self._lot:
                    self._lot = self._more()
                self._lot -= 1
                try:
                    envelope = self._crossing.buffer.popleft()
                except IndexError:  # dropped meanwhile, by a policy that makes room for newer ones
                    self._lot = 0
                    continue
                if envelope.context.tracking:
                    self._crossing.settle(envelope)
                return envelope.payload

    def receive_many(self, max: int = 64) -> list[Any]:
        """As `Stream.receive_many`: 1 to `max` messages, the first of which is waited for."""
        check_many(max, is_open=self._is_open)
        with self._reading:
            found: list[Any] = []
            while not found:  # dropped meanwhile, by a policy that makes room for newer ones
                try:
                    self._lot = self._lot or self._more()
                except StopIteration:
                    raise self._crossing.end() from None
                found = self._crossing.take(min(max, self._lot))
                self._lot = self._lot - len(found) if found else 0
            return found

    def _more(self) -> int:
        """Return how many messages may be read; wait for one."""
        while True:
            self._is_news = False  # first: what comes from here on is looked for again
            lot = self._crossing.lot()
            if lot:
                return lot
            while not self._is_news:
                self._far.refuse_forked()
                self._bar.acquire()

    def _wake(self) -> None:
        self._is_news = True
        with suppress(RuntimeError):  # it is open: nobody waits, or somebody is about to go on
            self._bar.release()


BlockingRun.__module__ = BlockingStream.__module__ = "trouper"
