"""When a failed call is tried again: a supervisor's decisions, made for one call."""

import math

from attrs import define, field

from ...actors._restart import GiveUp, Restart, RestartPolicy, decide_failure
from .._leaf import only_leaf
from .errors import NonRecoverableError


@define
class Tries:
    """The failed attempts of one call. Nothing waits here."""

    policy: RestartPolicy
    _failures: list[float] = field(factory=list[float])
    _streak: int = 0

    def after(self, error: Exception, *, began: float, now: float, chance: float) -> float | None:
        """Return the seconds until the next attempt; None: there is none.

        Args:
            error: the failure; it is told why it is the last one.
            began, now: of the failed attempt, seconds on one clock.
            chance: a random number, 0 to 1, for the jitter.
        """
        policy = self.policy
        if isinstance(only_leaf(error), NonRecoverableError):
            return None
        if now - began >= policy.backoff.forgiven_after:
            self._streak = 0
        self._streak += 1
        self._failures.append(now)
        decision = decide_failure(
            policy,
            self._failures,
            now,
            streak=self._streak,
            chance=chance,
            verdict=None if policy.rule is None else policy.rule.judge(error),
        )
        if isinstance(decision, Restart):
            return decision.delay
        error.add_note(self._why(decision.reason if isinstance(decision, GiveUp) else "stop"))
        return None

    def _why(self, reason: str) -> str:
        attempts = len(self._failures)
        if math.isinf(self.policy.period) and attempts > self.policy.max_restarts:
            return f"given up after {attempts} attempts (retries={self.policy.max_restarts})"
        return f"given up after {attempts} attempts: {reason}"
