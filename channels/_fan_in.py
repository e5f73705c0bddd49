"""How several lanes become one message: one of each (`zip`), or the newest of each (`latest`).

`merge`, each message as it comes, needs nothing of this: the inbox takes turns.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Literal, Protocol

from ._context import merge_contexts
from ._envelope import Envelope
from ._lane import Lane
from ._tracking import Outcome, settle_piece

FanIn = Literal["merge", "zip", "latest"]


class Joined(Envelope[Any], frozen=True, gc=False):
    """A message made from one of each of several lanes."""

    taken: tuple[str, ...] = ()
    """Sources of which a message was taken to make it: the ledger counts those."""


class Join(Protocol):
    """A rule that makes one message from the heads of several lanes."""

    conflicts: int
    """Keys of `custom_context` on which joined messages disagreed, so far."""
    fresh: set[str]
    """Sources of which one message is taken from its lane, but not made into anything yet."""

    def has_message(self, lanes: Sequence[Lane]) -> bool: ...

    def at_end(self, lanes: Sequence[Lane]) -> bool:
        """Return whether no further message can be made."""
        ...

    def take(self, name: str, lanes: Sequence[Lane]) -> Joined:
        """Make the next message; only when `has_message`."""
        ...

    def close(self, lanes: Sequence[Lane], fate: Outcome) -> None:
        """Drop and count what was taken from a lane but not made into anything."""
        ...


class _Joiner:
    def __init__(self) -> None:
        self.conflicts = 0
        self.fresh: set[str] = set()
        self._made = 0

    def _join(
        self,
        name: str,
        lanes: Sequence[Lane],
        parts: Sequence[Envelope[Any]],
        taken: Sequence[str],
    ) -> Joined:
        context, conflicts = merge_contexts([part.context for part in parts])
        self.conflicts += conflicts
        self._made += 1
        payload = MappingProxyType({part.source: part.payload for part in parts})
        source, seq = f"{name}@join", self._made
        joined = Joined(payload, source, seq, 1, context, (source, seq), taken=tuple(taken))
        if context.tracking:
            _hand_on(lanes[0].reader, parts, joined)
        return joined

    def close(self, lanes: Sequence[Lane], fate: Outcome) -> None:
        pass


def _hand_on(reader: object, parts: Sequence[Envelope[Any]], joined: Envelope[Any]) -> None:
    """Let the joined message stand for its parts to whoever follows one of them (case V2)."""
    for tracking in joined.context.tracking:
        tracking.open((reader, joined.source, joined.seq))
    for part in parts:
        settle_piece(reader, part, "acknowledged")


class Zip(_Joiner):
    """One message of each lane, in the order of sending. Ends with the first lane that ends."""

    def has_message(self, lanes: Sequence[Lane]) -> bool:
        return all(lane.buffer for lane in lanes)

    def at_end(self, lanes: Sequence[Lane]) -> bool:
        return any(lane.ended and not lane.buffer for lane in lanes)

    def take(self, name: str, lanes: Sequence[Lane]) -> Joined:
        for lane in lanes:
            lane.note_depth()
        parts = [lane.buffer.popleft() for lane in lanes]
        return self._join(name, lanes, parts, [part.source for part in parts])


class Latest(_Joiner):
    """The newest message of each lane, once every lane has had one. Ends when all lanes end.

    A message that a newer one overtakes is counted as dropped, reason `superseded`. The same
    mapping is never made twice: at least one part is new (case P16).
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[str, Envelope[Any]] = {}

    def has_message(self, lanes: Sequence[Lane]) -> bool:
        for lane in lanes:
            if lane.buffer:
                self._absorb(lane)
        return bool(self.fresh) and len(self._held) == len(lanes)

    def at_end(self, lanes: Sequence[Lane]) -> bool:
        return not self.has_message(lanes) and all(lane.ended for lane in lanes)

    def take(self, name: str, lanes: Sequence[Lane]) -> Joined:
        taken = [lane.source for lane in lanes if lane.source in self.fresh]
        self.fresh.clear()
        return self._join(name, lanes, [self._held[lane.source] for lane in lanes], taken)

    def close(self, lanes: Sequence[Lane], fate: Outcome) -> None:
        for lane in lanes:
            if lane.source in self.fresh:
                lane.fate = fate
                lane.drop(self._held[lane.source], "reader_ended")
        self.fresh.clear()

    def _absorb(self, lane: Lane) -> None:
        """Keep the newest, so that a lane never holds up the others while one has no value yet."""
        lane.note_depth()
        overtaken = [self._held[lane.source]] if lane.source in self.fresh else []
        while lane.buffer:
            overtaken.append(lane.buffer.popleft())
        self._held[lane.source] = overtaken.pop()
        self.fresh.add(lane.source)
        for envelope in overtaken:
            lane.drop(envelope, "superseded")


def open_join(fan_in: FanIn) -> Join | None:
    """Return the rule's state for one inbox; None for `merge`."""
    return {"merge": lambda: None, "zip": Zip, "latest": Latest}[fan_in]()
