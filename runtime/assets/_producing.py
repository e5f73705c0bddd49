"""Who makes an asset right now: asked of the context of the task, never of a slot that all share.

So it is right also when tasks interleave (F6): each has a context of its own.
"""

import threading
from contextvars import ContextVar
from typing import Any, cast

from attrs import define, field

from ...actors._actor_context import ActorContext
from ...actors._run_context import RunContext
from ...actors._task_context import TaskContext
from ...channels._envelope import Envelope
from ._records import MessageRef, Producer

AnyContext = TaskContext[Any, Any, Any]

MOST_CONSUMED = 1_000
"""Assets that a producer names as what it has read; older ones stand in the manifest as uses."""

_MOST_TURNS = 4_096
"""Attempts and messages whose readings are kept; those that began first fall out."""

_active: ContextVar[tuple[RunContext, str, str] | None] = ContextVar("active_task", default=None)
"""(run, action, task): what `set_active_task` has said, for that action alone."""


def set_active_task(run: RunContext, action: str, task: str) -> None:
    """Have what this action makes from now on be credited to `task`."""
    if not isinstance(cast("object", task), str) or not task:
        raise TypeError(f"set_active_task takes the name of a task, got {task!r}")
    _active.set((run, action, task))


def task_of(context: AnyContext) -> str:
    """Return the name of the task that a context belongs to."""
    active = _active.get()
    if active is not None and (active[0], active[1]) == (context.run_context, context.action.name):
        return active[2]
    return context.action.name


@define(eq=False, kw_only=True)
class Producing:
    """Tells the producers of one execution."""

    run: str | None = None
    project: str | None = None
    experiment: str | None = None
    execution: int | None = None
    _read: dict[object, dict[str, None]] = field(factory=dict[object, dict[str, None]], init=False)
    """What each attempt of a task has read so far; of an actor, over each message."""
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    def producer(self, context: AnyContext | None) -> Producer:
        """Return who makes an asset in this context; None: it is made outside of any task."""
        if context is None:
            return self._nobody()
        envelope = message_of(context)
        with self._guard:
            consumes = tuple(self._read.get(_turn(context, envelope), ()))
        return self._producer(context, envelope, consumes)

    def note_read(self, context: AnyContext | None, asset: str) -> Producer | None:
        """Note that a task has read an asset; return who, or None if that is known already."""
        if context is None:
            return None
        envelope = message_of(context)
        turn = _turn(context, envelope)
        with self._guard:
            ids = self._read.setdefault(turn, {})
            if asset in ids:
                return None
            ids[asset] = None
            _let_fall_out(ids, MOST_CONSUMED)
            _let_fall_out(self._read, _MOST_TURNS)
        return self._producer(context, envelope, ())

    def _nobody(self) -> Producer:
        return Producer(
            run=self.run,
            project=self.project,
            experiment=self.experiment,
            execution=self.execution,
        )

    def _producer(
        self, context: AnyContext, envelope: Envelope[Any] | None, consumes: tuple[str, ...]
    ) -> Producer:
        return Producer(
            run=self.run,
            project=self.project,
            experiment=self.experiment,
            execution=self.execution,
            task=task_of(context),
            attempt=context.attempt,
            message=None if envelope is None else _ref(envelope),
            upstream=context.upstreams,
            consumes=consumes,
        )


def message_of(context: AnyContext) -> Envelope[Any] | None:
    """Return the message that an actor has in hand, also seen from the tasks that it calls."""
    while not isinstance(context, ActorContext):
        below: AnyContext | None = getattr(context, "base", None)
        if below is None:
            return None
        context = below
    return context.message


def _ref(envelope: Envelope[Any]) -> MessageRef:
    return MessageRef(
        id=envelope.id, source=envelope.source, seq=envelope.seq, attempt=envelope.attempt
    )


def _turn(context: AnyContext, envelope: Envelope[Any] | None) -> object:
    """Return what is another thing for each attempt of each task, and over each message."""
    name, attempt = context.action.name, context.attempt
    if envelope is None:
        return name, attempt
    return name, attempt, envelope.source, envelope.seq, envelope.attempt


def _let_fall_out(kept: dict[Any, Any], most: int) -> None:
    if len(kept) > most:
        del kept[next(iter(kept))]
