"""Where the messages of a sender pass that something was asked of, or whose rate is limited."""

from typing import Protocol


class Gate(Protocol):
    """Asked before each message that a sender makes from no other."""

    def lets_out(self) -> bool:
        """Return whether one may be sent now."""
        ...

    async def let_out(self) -> None:
        """Do what was asked, or wait; look again afterwards."""
        ...

    def spend(self, messages: int = 1) -> None:
        """Count messages that have passed."""
        ...
