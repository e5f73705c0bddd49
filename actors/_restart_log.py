"""One log line per restart, but never a flood."""

import logging
from typing import Protocol

from ._escalation import Escalation
from ._failure import FailureSummary, summarize

log = logging.getLogger("trouper")

QUIET = 1.0
"""Seconds between two lines about the same child; restarts between are counted in the next one."""


class Restarted(Protocol):
    """What is said of a child."""

    @property
    def name(self) -> str: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def gave_up(self) -> bool: ...


class RestartLog:
    """Remembers when it last spoke of each child. One per supervisor."""

    def __init__(self) -> None:
        self._spoke_at: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def say(self, child: Restarted, error: Exception, delay: float, now: float) -> None:
        """Log that a child failed and will be restarted.

        Args:
            delay: seconds until the next incarnation starts.
            now: seconds on trio's clock.
        """
        more = self._may_speak(child.name, now)
        if more is None:
            return
        failure = summarize(error)
        log.warning(
            "%r failed in incarnation %d%s and restarts%s: %s%s%s",
            child.name,
            child.incarnation,
            _attempt(child),
            f" in {delay:.2g} s" if delay else "",
            failure,
            _at(failure),
            more,
        )

    def say_resumed(self, child: Restarted, failure: FailureSummary, now: float) -> None:
        """Log that a child goes on with its next message, as its `restart_on` says."""
        more = self._may_speak(child.name, now)
        if more is not None:
            log.warning(
                "%r failed in incarnation %d%s and goes on with the next message: %s%s%s",
                child.name,
                child.incarnation,
                _attempt(child),
                failure,
                _at(failure),
                more,
            )

    def say_gone(self, child: Restarted, error: Exception, group: str) -> None:
        """Log that a temporary member failed, and that its group goes on without it."""
        failure = summarize(error)
        log.error(
            "%r failed in incarnation %d%s and is temporary: %r goes on without it: %s%s",
            child.name,
            child.incarnation,
            _attempt(child),
            group,
            failure,
            _at(failure),
        )

    def say_escalation(self, told: Escalation) -> None:
        log.error("%s", told)

    def _may_speak(self, name: str, now: float) -> str | None:
        """Return what to add about lines left out; None: this one is left out too."""
        if name in self._spoke_at and now - self._spoke_at[name] < QUIET:
            self._unsaid[name] = self._unsaid.get(name, 0) + 1
            return None
        self._spoke_at[name] = now
        unsaid = self._unsaid.pop(name, 0)
        return f" ({unsaid} more restarts since the last line)" if unsaid else ""

    def forget(self, name: str) -> None:
        """Keep nothing of a child that has ended (case S18)."""
        self._spoke_at.pop(name, None)
        self._unsaid.pop(name, None)


def _at(failure: FailureSummary) -> str:
    return f", at {failure.where}" if failure.where else ""


def _attempt(child: Restarted) -> str:
    if not child.attempt:
        return ""
    end = ", the last: it is a dead letter now" if child.gave_up else ""
    return f", attempt {child.attempt} of the message in hand{end},"
