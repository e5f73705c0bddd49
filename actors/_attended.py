"""What a mailbox has besides: the way by which something can be asked of its actor."""

from typing import Any, Protocol, Self

import trio

from ..channels._envelope import Envelope
from ..channels._tracking import Outcome
from ._control_point import ControlPoint
from ._current import current_context
from ._failure import FailureSummary
from ._lease import Leases
from ._profile_config import ProfileConfig
from ._returns import Returned
from ._timeout import Timeout
from ._watch import OnDown


class Desk(Protocol):
    """Whom an actor asks about the other nodes of its run."""

    def watch(self, watcher: str, node: Any, on_down: OnDown | None) -> None: ...
    def unwatch(self, watcher: str, node: Any) -> None: ...
    def failed(self, node: str) -> None:
        """An incarnation has failed; its message is not settled yet."""
        ...


class Attended(Leases):
    """Leases that can be held, limited and ended. Until something is asked, that costs nothing."""

    __slots__ = ("config", "control", "desk")

    control: ControlPoint | None
    """What was asked of the actor; None while nothing is to be done about anything."""
    desk: Desk | None
    config: ProfileConfig | None
    """`ctx.config`, once it was changed; None: that of the run."""

    def __new__(cls, *_args: Any, **_options: Any) -> Self:
        box = super().__new__(cls)
        box.control = box.desk = box.config = None
        return box

    def divert(self, control: ControlPoint | None) -> None:
        """Let the next message, in or out, come by what was asked; None: by the short cuts."""
        self.control = control
        for outlet in self.outlets:
            outlet.gate = control
            outlet.refresh()
        self._look_at_each()

    def _is_asked(self) -> bool:
        return self.control is not None and self.control.is_asked

    def desk_of_run(self) -> Desk:
        """Return whom to ask about other nodes.

        Raises:
            NotImplementedError: this mailbox belongs to no run.
        """
        if self.desk is None:
            raise NotImplementedError(
                "watch: this ActorContext is connected to no run; run the actor in a Workflow"
            )
        return self.desk

    def take_config(self, config: ProfileConfig) -> None:
        """Handle what comes next under another `ctx.config`; called where nothing is in hand."""
        self.config = config
        self.adopt_config()

    def adopt_config(self) -> None:
        """Let the context of the running task, if it is this actor's, have the newest `config`."""
        context = current_context.get()
        if context is None or self.config is None or context.config is self.config:
            return
        if (context.action.name, context.action.run_name) == (self.name, self.base.run):
            # Nobody else may: between two messages it is ours to change (case X4).
            object.__setattr__(context, "config", self.config)

    def begin(self, scope: trio.CancelScope | None) -> None:
        super().begin(scope)
        if self.control is not None:
            self.control.begin()

    def reject(self, failure: FailureSummary) -> bool:
        if self.desk is not None:
            self.desk.failed(self.name)
        return super().reject(failure)

    def holds_back(self, envelope: Envelope[Any], now: float) -> bool:
        """Let a message come again if the handler of the last one was cut off and asks for it."""
        last, scope = self.watched, self.scope
        if last is None or scope is None or now < scope.deadline or not self.is_cut():
            return False
        self.leased = last  # the short cuts have taken it for handled
        self.come_again(Returned(envelope), first=True)
        return True

    def limit_next(self, seconds: float) -> None:
        """Limit how long a message may be handled: from the next one on."""
        self.timeout = Timeout(seconds)
        self.timed = True
        self.bound = None
        self._look_at_each()

    def close(self, fate: Outcome = "dropped") -> None:
        ending = "" if self.control is None else self.control.asked.ending
        if ending == "killed":
            while self.returned:
                self._give_up(self.returned.popleft(), "killed")
        # What an ended actor has left in its mailbox was never handled (case K2).
        super().close("abandoned" if ending else fate)
