"""Where the messages of a sender pass that something was asked of, or whose rate is limited."""

from typing import Protocol


class Gate(Protocol):
    """Asked before each message is sent. What is made from a message in hand always may be."""

    def lets_out(self, leased: object) -> bool:
        """Return whether a message may be sent now.

        Args:
            leased: what the sender has in hand; None: it makes the message of its own accord.
        """
        ...

    def pays(self, leased: object) -> bool:
        """Return whether one may be sent now; then it is counted, and must be sent at once."""
        ...

    async def let_out(self) -> None:
        """Do what was asked, or wait; look again afterwards."""
        ...
