"""One thing that was logged: as it is kept, as it is printed, as it is read again."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ...actors._secret import mask_text, masked
from .._cli_text import plain, plain_lines
from ._stamp import Stamp, extra_of

_formatter = logging.Formatter()


class LogLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record of `logging`, made while a run went on, with whose it is."""

    time: datetime
    """In UTC."""
    level: str
    logger: str
    message: str
    run: str
    action: str = ""
    """Name of the action that logged it; "": none, as when its supervisor speaks."""
    actor: str = ""
    """The node, or the task that was called."""
    attempt: int = 0
    """From 1; 0: not known."""
    exception: str | None = None
    """Its traceback, if there is one."""
    extra: Mapping[str, Any] | None = None
    """What the program gave with `extra=`, as plain data."""

    def as_json(self) -> str:
        return _encoder.encode(self).decode()

    def as_text(self) -> str:
        """Return it as "console" shows it: one line, and below it the traceback."""
        at = self.time.astimezone().strftime("%H:%M:%S")
        again = f" #{self.attempt}" if self.attempt > 1 else ""
        whose = " ".join(each for each in (self.run, self.action) if each)
        first = f"{at} {self.level} {whose}{again}: {self.message}"
        lines = [*plain_lines(first)]
        if self.exception is not None:
            lines += plain_lines(self.exception)
        return "\n".join(lines)


def line_of(record: logging.LogRecord, stamp: Stamp) -> LogLine:
    """Return what is kept of a record: text and plain data, with secrets masked."""
    return LogLine(
        time=datetime.fromtimestamp(record.created, UTC),
        level=record.levelname,
        logger=record.name,
        message=mask_text(record.getMessage()),
        run=stamp.run,
        action=stamp.action,
        actor=stamp.actor,
        attempt=stamp.attempt,
        exception=_exception(record),
        extra=_plain_data(extra_of(record, stamp)),
    )


def _exception(record: logging.LogRecord) -> str | None:
    parts = [
        record.exc_text or (_formatter.formatException(record.exc_info) if record.exc_info else ""),
        _formatter.formatStack(record.stack_info) if record.stack_info else "",
    ]
    told = "\n".join(each for each in parts if each)
    return mask_text(told) if told else None


def _plain_data(extra: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if not extra:
        return None
    shown: dict[str, Any] = {}
    for key, value in extra.items():
        try:
            shown[key] = masked(msgspec.json.decode(_encoder.encode(masked(value))))
        except Exception:  # whatever a program has put there
            shown[key] = mask_text(plain(value))
    return shown


_encoder = msgspec.json.Encoder(enc_hook=plain)
_decoder = msgspec.json.Decoder(LogLine)


def read_line(text: bytes | str) -> LogLine | None:
    """Return what `as_json` wrote; None: the line is torn, or another's."""
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError:
        return None


LogLine.__module__ = "trouper"
