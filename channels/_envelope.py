"""The one shape every message has.

Rule 1: an envelope never changes after it is sent. To change one, make another.
Rule 2: the edge fills every field but `payload`. An actor hands over only that.
"""

from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Generic

import msgspec
from typing_extensions import TypeVar

from ._tracking import Tracking

T_co = TypeVar("T_co", covariant=True, default=Any)

NO_CUSTOM_CONTEXT: Mapping[str, str] = MappingProxyType({})


class MessageContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a message carries besides its payload; shared by all messages of one origin.

    What an actor sends, spawns or calls while it handles a message inherits the message's context.
    """

    run: str = ""
    """Name of the run."""
    parent_action: str | None = None
    """Name of the action that the run was started from; None: from outside of any."""
    custom_context: Mapping[str, str] = NO_CUSTOM_CONTEXT
    """The user's own key-value pairs."""
    traceparent: str | None = None
    """W3C trace context header of the span that sent the message."""
    links: tuple[str, ...] = ()
    """`traceparent` of every message this one was made from, when there were several."""
    correlation_id: str | None = None
    deadline: float | None = None
    """Seconds on trio's clock. Past it the message is dead-lettered as `expired`."""
    tracking: tuple[Tracking, ...] = ()
    """Who is told once all that comes from this message is settled."""


NO_CONTEXT = MessageContext()

Origin = tuple[Any, ...]
"""(source, seq) of a first message; (origin, via, n) of the n-th output made from another."""

MOST_STEPS = 32
"""Derivations that an origin tells one by one; a message may go round in a cycle for ever."""


class Envelope(msgspec.Struct, Generic[T_co], frozen=True, gc=False):
    """One message and its place in the stream."""

    payload: T_co
    source: str
    """Who sent it: the key of keyed fan-in."""
    seq: int
    """Place in its edge: 1, 2, 3, ... in the order of sending; a gap is a dropped message."""
    attempt: int = 1
    """How many times it was handed out for handling, this one included."""
    context: MessageContext = NO_CONTEXT
    origin: Origin | None = None
    """What it was made from; read `id` instead."""
    resent: bool = False
    """True when an earlier attempt of the sender's handler has already placed it once."""

    @property
    def id(self) -> str:
        """A name that is the same on every attempt: `source:seq`, then `/node.n` per derivation.

        Of a message that was passed on through many joins, `source:seq~hash:steps` stands for the
        first ones.
        The first output of a node with one upstream keeps the id of the message it was made from:
        on one edge no two messages share an id.
        """
        return origin_text(self.origin or (self.source, self.seq))


def origin_text(origin: Origin) -> str:
    """Return the readable form of an origin."""
    steps: list[str] = []
    while len(origin) == 3:
        origin, via, n = origin
        steps.append(f"/{via}.{n}")
    return f"{origin[0]}:{origin[1]}" + "".join(reversed(steps))


def bounded(origin: Origin) -> Origin:
    """Return an origin of less than `MOST_STEPS` derivations: this one, or one that hashes it."""
    at, steps = origin, 0
    while len(at) == 3:
        at, steps = at[0], steps + 1
    if steps < MOST_STEPS:
        return origin
    digest = blake2b(origin_text(origin).encode(), digest_size=12).hexdigest()
    first, _, before = str(at[0]).partition("~")
    told = at[1] if before else 0
    return (f"{first if before else origin_text(at)}~{digest}", told + steps)


Envelope.__module__ = MessageContext.__module__ = "trouper"
