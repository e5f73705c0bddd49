"""What became of the messages that were still under way when a drain began."""

from collections.abc import Mapping

import msgspec


class ActorDrain(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one actor did while the run drained."""

    acknowledged: int = 0
    """Messages that it handled to their end."""
    redelivered: int = 0
    """Messages that it was handed again."""
    dead_lettered: int = 0
    """Messages that were given up: their attempts were used up, or their deadline had passed."""
    abandoned: int = 0
    """Messages that it never handled, or had in hand when it was cut short."""


class DrainReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a drain went."""

    began_at: float
    """Seconds on trio's clock."""
    seconds: float
    """How long it took."""
    budget: float
    """Seconds it was given."""
    actors: Mapping[str, ActorDrain]
    """Those that had anything to do with a message."""
    cut_short: tuple[str, ...]
    """Those that were cancelled because their time was up."""

    @property
    def acknowledged(self) -> int:
        return sum(each.acknowledged for each in self.actors.values())

    @property
    def redelivered(self) -> int:
        return sum(each.redelivered for each in self.actors.values())

    @property
    def dead_lettered(self) -> int:
        return sum(each.dead_lettered for each in self.actors.values())

    @property
    def abandoned(self) -> int:
        return sum(each.abandoned for each in self.actors.values())


def in_words(counts: DrainReport | ActorDrain, *, with_zeros: bool = False) -> str:
    """Return what became of the messages: `1,234 acknowledged, 2 abandoned`.

    Args:
        with_zeros: all four counts, if one of them is not 0: a line of a log is looked for by them.
    """
    parts = (
        (counts.acknowledged, "acknowledged"),
        (counts.redelivered, "redelivered"),
        (counts.dead_lettered, "dead-lettered"),
        (counts.abandoned, "abandoned"),
    )
    if not any(n for n, _ in parts):
        return "no message was under way"
    return ", ".join(f"{n:,} {what}" for n, what in parts if n or with_zeros)


ActorDrain.__module__ = DrainReport.__module__ = "trouper"
