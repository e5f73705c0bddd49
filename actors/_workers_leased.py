"""`async with ctx.leased() as message`: a lease that belongs to a block, not to a task."""

from contextlib import nullcontext, suppress
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

import trio

from ..channels._context import message_context
from ..channels._inbox import EndOfInput
from ..channels._outlet import EndOfOutput
from ._cancelled import stray_cancel
from ._driver import is_own_end
from ._failure import summarize
from ._mailbox import Mailbox
from ._rejected import Rejected, mark, origin_of
from ._timeout import failure_of
from ._workers import Worker
from ._workers_outputs import current_lease

T = TypeVar("T")


class Leased(Generic[T]):
    """One message, in hand for as long as the block goes on.

    A normal end acknowledges it, an exception rejects it, a cancellation releases it.
    """

    def __init__(self, box: Mailbox) -> None:
        self._box = box
        self._scope = trio.CancelScope()
        self._worker: Worker | None = None
        self._tokens: tuple[Any, Any] | None = None

    async def __aenter__(self) -> T:
        """Wait for a message and return its payload.

        Raises:
            EndOfInput: every upstream has ended, and no other block holds a message.
            RuntimeError: this block was entered before.
        """
        if self._worker is not None:
            raise RuntimeError(
                "a lease is for one block; write `async with ctx.leased()` each time"
            )
        box = self._box
        box.refuse_if_unconnected()
        self._worker = worker = Worker(box.hub if isinstance(box, Worker) else box)
        self._tokens = (message_context.set(worker.base), current_lease.set(worker))
        self._scope.__enter__()
        try:
            worker.begin(self._scope)
            return cast("T", await worker.take_slow())
        except BaseException as error:
            self._close(worker, error)
            if isinstance(error, EndOfInput):
                raise EndOfInput(str(error), box) from None
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        worker = self._worker
        assert worker is not None
        if exc is not None and not is_own_end(exc, self._box):
            return self._settle(worker, exc)
        try:
            with suppress(EndOfOutput) if exc is not None else nullcontext():
                await worker.finish()
        except BaseException as error:
            self._settle(worker, error)
            raise
        return self._close(worker, exc)

    def _settle(self, worker: Worker, error: BaseException) -> bool:
        """Settle what an error has ended; return whether the error goes no further."""
        failure = failure_of(worker, error) or stray_cancel(error)
        if isinstance(failure, Exception):
            self._reject(worker, failure)
        else:
            worker.give_all_back(expired=failure is None and worker.is_expired())
        is_swallowed = self._close(worker, error)
        if is_swallowed and failure is not None:
            raise failure
        return is_swallowed

    def _reject(self, worker: Worker, failure: Exception) -> None:
        leased, is_last = worker.leased, worker.is_last_attempt()
        counts = worker.reject(summarize(failure))
        if leased is not None:
            mark(failure, Rejected(leased.attempt, origin_of(leased), is_last, counts))

    def _close(self, worker: Worker, error: BaseException | None) -> bool:
        """Leave the cancel scope and the contexts; return whether the scope takes the error."""
        worker.leave()
        assert self._tokens is not None
        outside, lease = self._tokens
        current_lease.reset(lease)
        message_context.reset(outside)
        if error is None:
            self._scope.__exit__(None, None, None)
            return False
        return bool(self._scope.__exit__(type(error), error, error.__traceback__))
