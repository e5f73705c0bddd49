"""`concurrency=n`: n bodies of one incarnation side by side, each with a lease of its own.

When one of them fails, only the message that it holds is rejected. The others finish theirs, then
the incarnation ends as failed, and the next one begins with n fresh bodies: so restart rules, hooks
and fresh state are those of any actor. A body that has not come to its next ask within `shutdown`
seconds is cancelled, and its message released (no failed attempt).
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from inspect import isasyncgen
from typing import Any, cast

import attrs
import trio

from ..channels._context import message_context
from ..channels._inbox import EndOfInput
from ..channels._outlet import EndOfOutput
from ._actor_context import ActorContext
from ._cancelled import stray_cancel
from ._child import ActorChild, Behaviour, Child
from ._current import current_context
from ._driver import drive_generator, is_own_end
from ._rejected import rejected_by
from ._timeout import failure_of
from ._workers import Worker
from ._workers_outputs import current_lease

Context = ActorContext[Any, Any, Any, Any]


def several(behaviour: Behaviour, child: Child, concurrency: int) -> Behaviour:
    """Return what an incarnation of so many bodies runs; the hooks are called once for all."""
    assert isinstance(child, ActorChild)
    run = partial(run_side_by_side, child, behaviour.run, concurrency)
    return Behaviour(run, behaviour.start, behaviour.stop, behaviour.restarted)


def resize(child: ActorChild, concurrency: int) -> None:
    """Change how many bodies there are: more at once, fewer as they come to their next ask."""
    crew = child.mailbox.crew
    if isinstance(crew, Crew):
        crew.resize(concurrency)


async def run_side_by_side(
    child: ActorChild, run: Callable[[Any], Any], concurrency: int, context: Context
) -> None:
    """Run bodies of one incarnation side by side, to the end of all of them.

    Raises:
        Exception: the failure of the first one that failed; what it held is in the hub's hand.
    """
    child.mailbox.crew = crew = Crew(child, run, context)
    try:
        async with trio.open_nursery() as nursery:
            crew.nursery = nursery
            crew.resize(concurrency)
    finally:
        child.mailbox.crew = None
    if crew.failure is not None:
        raise crew.failure


class Crew:
    """The bodies of one incarnation."""

    def __init__(self, child: ActorChild, run: Callable[[Any], Any], context: Context) -> None:
        self._child = child
        self._run = run
        self._context = context
        self._workers: list[Worker] = []
        self.failure: Exception | None = None
        """What the first one that failed has failed with."""
        self.nursery: trio.Nursery | None = None
        self.is_over = False
        """Whether the last body has ended: the nursery may have closed by now."""

    def resize(self, concurrency: int) -> None:
        """Start or dismiss bodies, until so many go on."""
        if self.failure is not None or self.is_over:
            return  # the next incarnation has them, if there is one
        assert self.nursery is not None
        staying = [each for each in self._workers if not each.is_leaving]
        for worker in staying[concurrency:]:
            worker.dismiss()
        for _ in range(concurrency - len(staying)):
            self._workers.append(Worker(self._child.mailbox))
            self.nursery.start_soon(self.work, self._workers[-1], name=self._child.name)

    async def work(self, worker: Worker) -> None:
        """Run one body to its end; again, when the deadline of its message has passed."""
        current_lease.set(worker)
        context = attrs.evolve(cast("Any", self._context), mailbox=worker)
        current_context.set(context)
        try:
            while await self._has_expired(worker, context):
                pass
        finally:
            self._workers.remove(worker)
            self.is_over = not self._workers
            worker.leave()

    async def _has_expired(self, worker: Worker, context: Context) -> bool:
        """Run one body once; return whether it was cut off because its message has expired."""
        expired = False
        with trio.CancelScope() as scope:
            worker.begin(scope)
            message_context.set(worker.base)
            try:
                await self._live(worker, context)
            except BaseException as error:
                failure = None if self._child.retired else failure_of(worker, error)
                failure = failure or stray_cancel(error)
                if isinstance(failure, Exception):
                    self._fail(worker, failure)
                    return False
                expired = worker.is_expired()
                worker.give_all_back(expired=expired)
                raise
        if expired:
            self._child.expired += 1
        return expired

    async def _live(self, worker: Worker, context: Context) -> None:
        outlet = self._child.outlet
        body: Any = self._run(context)
        try:
            if isasyncgen(cast("object", body)):
                assert outlet is not None
                await drive_generator(body, worker, outlet)
            else:
                await body
        except (EndOfInput, EndOfOutput, BaseExceptionGroup) as end:
            if not is_own_end(end, worker):
                raise
        with suppress(EndOfOutput):  # the body has ended: a normal end, whoever reads
            await worker.finish()

    def _fail(self, worker: Worker, failure: Exception) -> None:
        """Reject what a body has in hand, and let the others come to their end."""
        if self.failure is not None:
            child, now = self._child, trio.current_time()
            before = rejected_by(failure) if worker.leased is None else None
            summary = child.note_failure(failure, now)
            if worker.reject(summary) if before is None else before.counts:
                child.count_failure(now)
            return
        self.failure = failure
        worker.hand_over()
        for other in self._workers:
            other.dismiss()
        assert self.nursery is not None
        self.nursery.cancel_scope.deadline = trio.current_time() + self._child.shutdown
