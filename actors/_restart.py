"""What to do when a child ends: restart it, let it go, or give up. Nothing waits here.

The words and rules are OTP's: restart type, restart intensity, period.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, Literal, cast, get_args

from attrs import Factory, field, frozen

from ._restart_on import RestartOn, RestartRule, Verdict, make_rule

RestartType = Literal["permanent", "transient", "temporary"]
"""Restart always, after a failure only, or never."""

RESTART_TYPES: Final[tuple[RestartType, ...]] = get_args(RestartType)


@frozen(kw_only=True)
class Backoff:
    """How long to wait before a restart: not at all, then `min`, doubling up to `max`."""

    min: float = 0.1
    """Seconds."""
    max: float = 30.0
    """Seconds."""
    factor: float = 2.0
    jitter: float = 0.1
    """Share of the delay that is added at random, 0 to 1."""
    reset_after: float | None = None
    """Seconds of running that forgive all earlier failures; None: the mean of `min` and `max`."""

    def __attrs_post_init__(self) -> None:
        for name in ("min", "max", "factor", "jitter", "reset_after"):
            value: object = getattr(self, name)
            is_default = value is None and name == "reset_after"
            if not is_default and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise TypeError(f"{name} of a backoff takes a number, got {value!r}")
        if not 0 <= self.min <= self.max < math.inf:
            raise ValueError(
                f"backoff needs 0 <= min <= max, finite; got {self.min} and {self.max}"
            )
        if not 1 <= self.factor < math.inf or not 0 <= self.jitter <= 1:
            raise ValueError(
                f"backoff needs factor >= 1 and jitter in 0..1; got {self.factor} and {self.jitter}"
            )
        if self.reset_after is not None and not self.reset_after >= 0:
            raise ValueError(f"reset_after must be >= 0 s, got {self.reset_after}")

    @property
    def forgiven_after(self) -> float:
        return (self.min + self.max) / 2 if self.reset_after is None else self.reset_after

    def delay(self, streak: int, chance: float) -> float:
        """Return the wait in seconds before restart number `streak` (from 1) in a row.

        Args:
            chance: a random number, 0 to 1.
        """
        if streak <= 1:
            return 0.0
        # 2.0 ** 1024 overflows; 60 doublings already pass any max.
        grown = self.min * self.factor ** min(streak - 2, 60)
        return min(self.max, grown) * (1 + self.jitter * chance)


def _rule_of(policy: "RestartPolicy") -> RestartRule | None:
    given = policy.restart_on
    return None if given is None else make_rule(given, "a RestartPolicy")


@frozen(kw_only=True)
class RestartPolicy:
    """When a child is restarted, and how many failures are too many."""

    restart: RestartType = "transient"
    max_restarts: int = 5
    """Failures within `period` that are answered by a restart; one more escalates."""
    period: float = 10.0
    """Seconds. Older failures are forgiven; one exactly that old still counts (case S2)."""
    backoff: Backoff = field(factory=Backoff)
    restart_on: RestartOn | None = None
    """Which failures are restarted, or answered otherwise; None: all are restarted."""
    rule: RestartRule | None = field(
        init=False, repr=False, eq=False, default=Factory(_rule_of, takes_self=True)
    )
    """`restart_on`, checked."""

    def __attrs_post_init__(self) -> None:
        if self.restart not in RESTART_TYPES:
            legal = ", ".join(RESTART_TYPES)
            raise ValueError(f"restart can't be {self.restart!r}; choose one of: {legal}")
        most = cast("object", self.max_restarts)
        if isinstance(most, bool) or not isinstance(most, int):
            raise TypeError(f"max_restarts takes an int, got {most!r}")
        if most < 0:
            raise ValueError(f"max_restarts must be >= 0, got {most}")
        period, backoff = cast("object", self.period), cast("object", self.backoff)
        if isinstance(period, bool) or not isinstance(period, int | float):
            raise TypeError(f"period takes seconds, got {period!r}")
        if not isinstance(backoff, Backoff):
            raise TypeError(f"backoff takes a trouper.Backoff, got {backoff!r}")
        if not self.period > 0:
            raise ValueError(f"period must be > 0 s, got {self.period}; math.inf never forgives")


class RestartedInVain(RuntimeError):
    """A permanent child returned again and again without taking a message."""

    @classmethod
    def by(cls, name: str) -> "RestartedInVain":
        return cls(f"{name!r} returned without taking a message")


@frozen
class Restart:
    delay: float


@frozen
class GiveUp:
    """Don't restart, and let the failure go up."""

    reason: str


@frozen
class Done:
    """Don't restart; all is well."""


Decision = Restart | GiveUp | Done

DONE = Done()
"""The one that is used: thousands of children end at once."""


def decide_exit(policy: RestartPolicy, *, may_go_on: bool) -> Decision:
    """Return what to do about a child that returned normally.

    Args:
        may_go_on: False when its input has ended or the run drains: then even a permanent one ends.
    """
    return Restart(0.0) if policy.restart == "permanent" and may_go_on else DONE


def decide_failure(
    policy: RestartPolicy,
    failures: Sequence[float],
    now: float,
    *,
    streak: int,
    chance: float,
    verdict: Verdict | None = None,
) -> Decision:
    """Return what to do about a failed child.

    Args:
        failures: shape (n,), n >= 1, seconds, oldest first: the failures that count, this one's
            included if it does.
        now: seconds on the same clock.
        streak: failures in a row without a long enough run between, this one included.
        chance: a random number, 0 to 1, for the jitter.
        verdict: what `restart_on` says of it, if there is one.
    """
    if verdict is not None and verdict.answer == "stop":
        return DONE
    if verdict is not None and verdict.answer == "escalate":
        return GiveUp(verdict.reason)
    if policy.restart == "temporary":
        return GiveUp("restart='temporary' is never restarted")
    recent = len(failures) - bisect_left(failures, now - policy.period)
    if recent <= policy.max_restarts:
        return Restart(policy.backoff.delay(streak, chance))
    return GiveUp(
        f"failed {times_of(recent)} in {policy.period:g} s; fix the cause, or allow more than "
        f"max_restarts={policy.max_restarts}"
    )


def times_of(count: int) -> str:
    """Return "once" or "3 times"."""
    return "once" if count == 1 else f"{count} times"


for _public in (RestartedInVain, Backoff, RestartPolicy, Restart, GiveUp, Done):
    _public.__module__ = "trouper"
