"""One log line per restart, but never a flood."""

import logging
from typing import Protocol

from ._failure import summarize

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
        name = child.name
        if name in self._spoke_at and now - self._spoke_at[name] < QUIET:
            self._unsaid[name] = self._unsaid.get(name, 0) + 1
            return
        self._spoke_at[name] = now
        unsaid = self._unsaid.pop(name, 0)
        failure = summarize(error)
        log.warning(
            "%r failed in incarnation %d%s and restarts%s: %s%s%s",
            name,
            child.incarnation,
            _attempt(child),
            f" in {delay:.2g} s" if delay else "",
            failure,
            f", at {failure.where}" if failure.where else "",
            f" ({unsaid} more restarts since the last line)" if unsaid else "",
        )


def _attempt(child: Restarted) -> str:
    if not child.attempt:
        return ""
    end = ", the last: it is a dead letter now" if child.gave_up else ""
    return f", attempt {child.attempt} of the message in hand{end},"
