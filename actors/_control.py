"""What was asked of an actor, and what that means for its next message. Nothing waits here.

Rule 1: what was asked comes before data, is never dropped, and is kept until it is done (case X19).
Rule 2: a message in hand is handled to its end under what held when it was handed out (case X4);
only kill interrupts (case A2).
Rule 3: an actor that nothing is asked of has none of this.
"""

from enum import Enum
from typing import Literal

from attrs import evolve, frozen

from ._watch import Down

Ending = Literal["", "stopped", "killed"]


class Step(Enum):
    """What an actor does at a message boundary."""

    GO = "go"
    """Take, or make, the next message."""
    HOLD = "hold"
    """Wait until something else is asked."""
    CONFIGURE = "configure"
    """Take over the new settings."""
    TELL = "tell"
    """Hear of the end of a node that it watches."""
    END = "end"
    """End as if the input had."""


@frozen
class Asked:
    """All that was asked of one actor and is not done yet."""

    is_paused: bool = False
    ending: Ending = ""
    has_settings: bool = False
    """Whether new settings wait for the boundary."""
    notices: tuple[Down, ...] = ()
    """Ends that it has not heard of, oldest first."""

    def pause(self) -> "Asked":
        return evolve(self, is_paused=True)

    def resume(self) -> "Asked":
        return evolve(self, is_paused=False)

    def stop(self) -> "Asked":
        """Ask to end after the message in hand; without effect on what is killed."""
        return evolve(self, ending=self.ending or "stopped")

    def kill(self) -> "Asked":
        return evolve(self, ending="killed")

    def configure(self) -> "Asked":
        return evolve(self, has_settings=True)

    def configured(self) -> "Asked":
        return evolve(self, has_settings=False)

    def tell(self, notice: Down) -> "Asked":
        return evolve(self, notices=(*self.notices, notice))

    def told(self) -> "Asked":
        """Take the oldest notice off: it is being handled."""
        return evolve(self, notices=self.notices[1:])

    def begin(self) -> "Asked":
        """Start an incarnation: it has the new settings, and has asked for no notice yet."""
        return evolve(self, has_settings=False, notices=())


NOTHING_ASKED = Asked()


def before_receiving(asked: Asked, *, comes_again: bool) -> Step:
    """Return what an actor does before it takes a message.

    Args:
        comes_again: whether a message that was in hand before waits to be handled again. Stop lets
            it: it ends after the message in hand.
    """
    if asked.ending == "killed" or (asked.ending and not comes_again):
        return Step.END
    return _before(asked)


def before_sending(asked: Asked) -> Step:
    """Return what an actor does before it sends a message that it makes of its own accord.

    A stop lets the next one out; its output then ends by itself.
    """
    return _before(asked)


def _before(asked: Asked) -> Step:
    if asked.has_settings:
        return Step.CONFIGURE
    if asked.notices:
        return Step.TELL
    return Step.HOLD if asked.is_paused and not asked.ending else Step.GO
