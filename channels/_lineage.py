"""Which message a sender has in hand, and what it has made from it: where output ids come from."""

from typing import TYPE_CHECKING, Any

from ._envelope import Envelope, Origin, bounded


class Lineage:
    """The sending side's view of the message in hand.

    Every output has an id that is the same on every attempt: that of the message in hand, then the
    number of the output. The first output of a node with one upstream keeps the id itself.
    """

    if not TYPE_CHECKING:
        __slots__ = ()  # the attributes are slots of the classes that mix this in

    name: str
    leased: Envelope[Any] | None
    """The message in hand; of a batch, the first. None at a source."""
    root: Envelope[Any] | None
    """The message whose outputs `emitted` counts; another one than `leased`: none so far."""
    emitted: int
    resend: int
    """Outputs that earlier attempts at the message in hand have placed already."""
    keeps_ids: bool
    """Whether first outputs keep the id of their message (one upstream), or get their own."""
    tracked: bool = False
    """Whether somebody follows what comes from the message in hand."""

    def emitted_now(self) -> int:
        """Return how many outputs this attempt at the message in hand has made."""
        return self.emitted if self.leased is not None and self.root is self.leased else 0

    def next_origin(self) -> Origin | None:
        """Count one more output; return where it comes from, None for a source's message."""
        leased = self.leased
        if leased is None:
            return None
        # As `emitted_now`, without a call: one message may have thousands of outputs.
        self.emitted = n = self.emitted + 1 if self.root is leased else 1
        self.root = leased
        base = leased.origin or (leased.source, leased.seq)
        if self.keeps_ids:
            return base if n == 1 else (base, self.name, n)
        # With several upstreams, two messages of one common ancestor may carry the same id.
        return (bounded(base), f"{leased.source}>{self.name}", n)


class Detached(Lineage):
    """The lineage of a sender that is no actor: the run's inlet."""

    __slots__ = ("emitted", "into", "keeps_ids", "leased", "name", "resend", "root")

    def __init__(self, name: str, into: str = "") -> None:
        self.name = name
        self.into = into
        """The node it sends to: every node has an inlet, and their messages may meet later."""
        self.leased = self.root = None
        self.emitted = self.resend = 0
        self.keeps_ids = True

    def next_origin(self) -> Origin | None:
        self.emitted += 1
        return (f"{self.name}>{self.into}", self.emitted)
