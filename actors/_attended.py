"""What a mailbox has besides: the way by which something can be asked of its actor."""

from typing import Any, Protocol, Self

import trio

from ..channels._tracking import Outcome
from ._control_point import ControlPoint
from ._lease import Leases
from ._watch import OnDown


class Desk(Protocol):
    """Whom an actor asks about the other nodes of its run."""

    def watch(self, watcher: str, node: Any, on_down: OnDown | None) -> None: ...
    def unwatch(self, watcher: str, node: Any) -> None: ...


class Attended(Leases):
    """Leases that can be held, limited and ended. Until something is asked, that costs nothing."""

    __slots__ = ("control", "desk")

    control: ControlPoint | None
    """What was asked of the actor; None while nothing is to be done about anything."""
    desk: Desk | None

    def __new__(cls, *_args: Any, **_options: Any) -> Self:
        box = super().__new__(cls)
        box.control = box.desk = None
        return box

    def divert(self, control: ControlPoint | None) -> None:
        """Let the next message, in or out, come by what was asked; None: by the short cuts."""
        if control is None and self.control is None:
            return
        self.control = control
        for outlet in self.outlets:
            outlet.gate = control
            outlet.refresh()
        self._look_at_each()

    def _is_asked(self) -> bool:
        return self.control is not None and self.control.is_asked

    def begin(self, scope: trio.CancelScope | None) -> None:
        super().begin(scope)
        if self.control is not None:
            self.control.begin()

    def close(self, fate: Outcome = "dropped") -> None:
        ending = "" if self.control is None else self.control.asked.ending
        if ending == "killed":
            while self.returned:
                self._give_up(self.returned.popleft(), "killed")
        # What an ended actor has left in its mailbox was never handled (case K2).
        super().close("abandoned" if ending else fate)
