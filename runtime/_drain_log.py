"""What actors have done with their messages, before a drain and after it."""

from collections.abc import Iterable, Mapping

import msgspec

from ..actors._child import ActorChild, Child
from ._drain_report import ActorDrain, DrainReport
from ._report import report_edge

_ABANDONED = ("stopped", "killed")
"""Reasons of dead letters that nobody has tried to handle once more."""
_NOTHING = ActorDrain()


class DrainLog(msgspec.Struct, frozen=True, kw_only=True):
    """What was known when a drain began."""

    began_at: float
    budget: float
    before: Mapping[str, ActorDrain]

    def report(
        self, children: Iterable[Child], ended_at: float, cut_short: Iterable[str]
    ) -> DrainReport:
        """Return how it went; once the run has ended."""
        after = tally(children)
        done = {
            name: ActorDrain(
                acknowledged=now.acknowledged - then.acknowledged,
                redelivered=now.redelivered - then.redelivered,
                dead_lettered=now.dead_lettered - then.dead_lettered,
                abandoned=now.abandoned - then.abandoned,
            )
            for name, now in after.items()
            if (then := self.before.get(name, _NOTHING)) != now
        }
        return DrainReport(
            began_at=self.began_at,
            seconds=ended_at - self.began_at,
            budget=self.budget,
            actors=done,
            cut_short=tuple(cut_short),
        )


def tally(children: Iterable[Child]) -> dict[str, ActorDrain]:
    """Count what each actor has done with its messages so far."""
    return {child.name: _count(child) for child in children if isinstance(child, ActorChild)}


def _count(child: ActorChild) -> ActorDrain:
    box = child.mailbox
    in_hand = box.in_hand()
    acknowledged = abandoned = dead = 0
    for lane in box.lanes:
        edge = report_edge(lane, in_hand.get(lane.source, 0), box.settled)
        acknowledged += edge.acknowledged
        abandoned += edge.dropped.get("reader_ended", 0)
    for (_, reason), messages in box.settled.items():
        if reason in _ABANDONED:
            abandoned += messages
        else:
            dead += messages
    return ActorDrain(
        acknowledged=acknowledged,
        redelivered=box.redelivered,
        dead_lettered=dead,
        abandoned=abandoned,
    )
