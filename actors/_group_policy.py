"""How a group of supervised members is kept running. Every value is checked when it is given."""

import math
from typing import Literal, cast, get_args

from attrs import frozen

from ._strategy import AUTO_SHUTDOWNS, STRATEGIES, AutoShutdown, Strategy

GroupRestart = Literal["transient", "temporary"]
"""Whether the group around a group starts it again when it has given up."""


@frozen(kw_only=True)
class GroupPolicy:
    """What a group does about failures of its members, and when it ends."""

    strategy: Strategy = "one_for_one"
    max_restarts: int = 5
    """Failures of all members within `period` that are answered by a restart."""
    period: float = 10.0
    """Seconds in which the group was up; one exactly that old still counts."""
    restart: GroupRestart = "transient"
    auto_shutdown: AutoShutdown = "never"
    shutdown: float = math.inf
    """Seconds for all members together to stop; what is left then is cut."""
    significant: bool = False
    """Whether the group around it may end with this one."""

    def __attrs_post_init__(self) -> None:
        _check_choice("strategy", self.strategy, STRATEGIES)
        _check_choice("auto_shutdown", self.auto_shutdown, AUTO_SHUTDOWNS)
        if cast("object", self.restart) == "permanent":
            raise ValueError(
                "a group can't be restart='permanent': it ends when its members have ended, and an "
                "output that has ended can't begin again; choose 'transient'"
            )
        _check_choice("restart", self.restart, get_args(GroupRestart))
        _check_number("max_restarts", self.max_restarts, "an int >= 0", int, at_least=0)
        _check_number("period", self.period, "seconds > 0", float)
        _check_number("shutdown", self.shutdown, "seconds >= 0", float, at_least=0)
        if not isinstance(cast("object", self.significant), bool):
            raise TypeError(f"significant takes a bool, got {self.significant!r}")


def _check_choice(option: str, value: object, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise ValueError(f"{option} can't be {value!r}; choose one of: {', '.join(legal)}")


def _check_number(
    option: str, value: object, takes: str, kind: type, *, at_least: float | None = None
) -> None:
    kinds = (int, float) if kind is float else (int,)
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise TypeError(f"{option} takes {takes}, got {value!r}")
    number = cast("float", value)
    if not (number > 0 if at_least is None else number >= at_least):
        raise ValueError(f"{option} must be {takes}, got {value!r}")
