"""Who decides about a child that the run itself does not look after."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ._child import Child


class Boss(Protocol):
    """The group that a node is in, or the actor that spawned a child. Decides, and never waits."""

    def child_ready(self, child: "Child") -> None:
        """Its start hook has succeeded."""
        ...

    def child_failed(self, child: "Child", error: Exception) -> None: ...

    def child_returned(self, child: "Child") -> None:
        """It has come to its end, or a cancel of its own was caught; `child.state` says which."""
        ...

    def child_broken_off(self, child: "Child") -> None:
        """It was cut off from outside, with the run."""
        ...

    def child_retired(self, child: "Child") -> None:
        """It was told to end. If it runs, `child_returned` follows."""
        ...

    def count_failure(self, now: float) -> None:
        """A failure counts for the restart intensity."""
        ...

    def stop_clock(self, seconds: float) -> None:
        """So long a stop took: it does not make failures older (case S19)."""
        ...
