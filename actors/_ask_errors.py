"""How a question can fail. Each says what to do about it."""

from collections.abc import Mapping

import trio

from ._failure import FailureSummary


class NoReply(Exception):
    """All that came from a question is settled, and nobody has replied.

    Attributes:
        node: who was asked.
        outcome: the worst that happened: `acknowledged`, `dropped`, `expired`, `dead_lettered`.
        reasons: `node: reason` of what was not acknowledged.
    """

    def __init__(self, message: str, node: str, outcome: str, reasons: tuple[str, ...]) -> None:
        super().__init__(message)
        self.node = node
        self.outcome = outcome
        self.reasons = reasons


class AskFailed(NoReply):
    """A question ended in the dead letters: every attempt at it failed.

    Attributes:
        failures: what each attempt ended with, oldest first.
    """

    failures: tuple[FailureSummary, ...] = ()


class AskTimeout(trio.TooSlowError):
    """No reply came in time. One that comes later is counted, and is a dead letter.

    Attributes:
        node: who was asked.
        seconds: the limit.
    """

    def __init__(self, message: str, node: str, seconds: float) -> None:
        super().__init__(message)
        self.node = node
        self.seconds = seconds


class TargetRestarting(RuntimeError):
    """Who was to be asked is being restarted, and the asker did not want to wait."""


class AskCycle(RuntimeError):
    """Nodes wait for one another, and the asker is one of them: no reply can come.

    Attributes:
        path: the nodes, each waiting for the next one, the asker first and last.
        behind: nodes that wait for these, and go on when they do.
        lines: node -> where it waits, as `file:line in function`; of those in `path` and `behind`.
    """

    def __init__(
        self,
        message: str,
        path: tuple[str, ...],
        behind: tuple[str, ...] = (),
        lines: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.path = path
        self.behind = behind
        self.lines = dict(lines or {})
        for node, line in self.lines.items():
            self.add_note(f"{node!r} waits at {line}")


for _public in (NoReply, AskFailed, AskTimeout, TargetRestarting, AskCycle):
    _public.__module__ = "trouper"
