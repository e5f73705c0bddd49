"""A question under way: who waits for the reply, and what has become of it.

A question is a message that is followed (see `channels/_tracking.py`); whatever is made from it
carries it along, and whoever handles one of these may reply. The first reply wins.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol, get_args

import trio
from trio.lowlevel import Abort, Task, reschedule

from ..channels._envelope import MessageContext
from ..channels._outlet import NOTHING
from ..channels._parking import GO
from ..channels._tracking import OUTCOMES, Outcome, Tracking
from ._lease import Leases

WhenRestarting = Literal["wait", "raise"]


class Asks(Protocol):
    """What a context asks of its run."""

    async def ask(
        self,
        x: Any,
        to: Any,
        *,
        reply_from: Any,
        timeout: float | None,
        restarting: WhenRestarting,
        asker: Leases | None,
    ) -> Any: ...

    def attempt_of(self, node: str) -> int:
        """Return how many times a node was started."""
        ...

    def upstreams_of(self, node: str) -> tuple[str, ...]:
        """Return the names of the nodes that a node's input comes from."""
        ...


class Question(Tracking):
    """One question, from the asking to the reply or to the end of the wait for it."""

    __slots__ = (
        "asked_by",
        "deadline",
        "on_late",
        "outcome",
        "owner",
        "parents",
        "reply",
        "reply_from",
        "scope",
        "task",
        "to",
    )

    def __init__(
        self,
        to: str,
        owner: Task,
        asked_by: Leases | None,
        deadline: float,
        reply_from: str | None,
        parents: tuple[Tracking, ...],
        on_late: Callable[["Question", Any, str], None],
    ) -> None:
        self._on_done = _told
        self._open = set()
        self._worst = 0
        self._reasons = ()
        self.to = to
        self.owner = owner
        """Whose question it is."""
        self.asked_by = asked_by
        """The mailbox of the actor that asks; None outside of an actor."""
        self.task: Task | None = None
        """Who is to be woken, while it waits for the reply."""
        self.scope: trio.CancelScope | None = None
        """Around its wait for room, while there is one."""
        self.deadline = deadline
        """Until when, in seconds on trio's clock."""
        self.reply_from = reply_from
        """Whose first output is the reply, if nobody says `ctx.reply`."""
        self.on_late = on_late
        self.parents = parents
        """Who follows the message that was in hand when it was asked."""
        self.reply: Any = NOTHING
        self.outcome: Outcome | BaseException | None = None
        """Why the wait has ended without a reply; None: it goes on, or there is one."""

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for a reply any more."""
        return self.outcome is not None or self.reply is not NOTHING

    def answer(self, reply: Any, by: str) -> None:
        """Give the reply to whoever waits for it; if nobody does any more, it is late.

        Args:
            by: the node that replies.
        """
        if self.outcome is not None or self.reply is not NOTHING:
            self.on_late(self, reply, by)
            return
        self.reply = reply
        task, self.task = self.task, None
        assert task is not None  # between the sending and the wait nobody else runs
        reschedule(task, GO)

    def fail(self, why: Outcome | BaseException) -> None:
        """End the wait without a reply. Without effect after its end."""
        if self.is_over:
            return
        self.outcome = why
        if self.scope is not None:
            self.scope.cancel()
        if self.task is not None:
            task, self.task = self.task, None
            reschedule(task, GO)

    def give_up(self, _raise_cancel: object) -> Abort:
        """The asker was cancelled: nobody waits any more."""
        self.task = None
        self.outcome = "abandoned"
        return Abort.SUCCEEDED

    def look(self) -> None:
        if self._on_done is not None and not self._open:
            self._on_done = None
            if self.reply is NOTHING:
                self.fail(OUTCOMES[self._worst])

    @property
    def reasons(self) -> tuple[str, ...]:
        """`node: reason` of what was not acknowledged."""
        return self._reasons

    def held_by(self, inner: Iterable["Question"] = ()) -> frozenset[str]:
        """Return the nodes at which anything that came from it is under way.

        Args:
            inner: questions asked on the way, whose messages can't answer this one.
        """
        pieces = self._open.difference(*(each._open for each in inner))
        return frozenset(str(getattr(reader, "name", "")) for reader, _, _ in pieces)


def _told(_outcome: Outcome, _reasons: tuple[str, ...]) -> None:
    """Stand for whoever is told: a question looks itself, so that it holds no method of its own."""


def question_of(context: MessageContext, node: str) -> Question:
    """Return the question that a message came from: of questions in questions, the inner one.

    Raises:
        RuntimeError: nobody has asked, or several have.
    """
    tracking = context.tracking
    if len(tracking) == 1 and type(tracking[0]) is Question:
        return tracking[0]
    found = [each for each in tracking if isinstance(each, Question)]
    if not found:
        raise RuntimeError(
            f"ctx.reply(): the message that {node!r} has in hand came from no question; reply "
            "only to what run.ask() or ctx.ask() has sent"
        )
    # What a handler asks while it handles a question follows that one first.
    inner = found[-1]
    others = [each for each in found[:-1] if each not in inner.parents]
    if others:
        raise RuntimeError(
            f"ctx.reply(): what {node!r} has in hand came from {len(others) + 1} questions; say "
            "which one is meant with ctx.reply(y, envelope), one of ctx.messages, or take one "
            "message at a time"
        )
    return inner


def answer_as_value(context: MessageContext, value: Any, node: str) -> None:
    """Answer a question that was put to a node whose return value is its reply.

    What was asked elsewhere, and comes by here on its way, is not answered; nor is what names with
    `reply_from` whose output the reply is.
    """
    questions = [each for each in context.tracking if isinstance(each, Question)]
    if questions and questions[-1].to == node:
        inner = questions[-1]
        if inner.reply_from is None and not inner.is_over:
            inner.answer(value, node)


def asks_of(asks: Asks | None) -> Asks:
    """Return whom a context asks.

    Raises:
        NotImplementedError: it was made by hand.
    """
    if asks is None:
        raise NotImplementedError(
            "ask: this context is connected to no run; run the node in a Workflow "
            "(await wf.execute(), or trouper.run(wf)), which gives it a connected context"
        )
    return asks


def check_restarting(restarting: object) -> None:
    """Refuse what is no way to treat a node that is being restarted.

    Raises:
        ValueError: the text says what is.
    """
    if restarting not in get_args(WhenRestarting):
        raise ValueError(f"restarting can't be {restarting!r}; choose one of: wait, raise")


def check_timeout(timeout: object) -> None:
    """Refuse what is no time limit.

    Raises:
        TypeError, ValueError: the text says what is.
    """
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"ask() takes timeout= in seconds, or None for no limit; got {timeout!r}")
    if not timeout > 0:
        raise ValueError(f"ask() takes timeout= > 0 s, or None for no limit; got {timeout!r}")
