"""Dead letters in a file: one JSON object a line, oldest first.

Rule: a payload that JSON can't hold is kept as its repr, and marked: it can be read, not put back.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import msgspec

from ..actors._dead_letters import Attempt, DeadLetter
from ..channels._envelope import Envelope, MessageContext
from ..channels._fan_in import Joined

_LONGEST = 2_000
"""Characters of the repr that stands for a payload."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One line."""

    node: str
    id: str
    source: str
    seq: int
    attempt: int
    reason: str
    at: float
    payload: Any
    is_exact: bool = True
    """Whether `payload` is the payload, not its repr."""
    taken: tuple[str, ...] | None = None
    """Of a joined message, whose messages it was made from."""
    run: str = ""
    custom_context: dict[str, str] = {}
    correlation_id: str | None = None
    traceparent: str | None = None
    attempts: tuple[Attempt, ...] = ()

    def letter(self) -> DeadLetter:
        """Return the letter, as far as a file can hold it."""
        context = MessageContext(
            run=self.run,
            custom_context=self.custom_context,
            correlation_id=self.correlation_id,
            traceparent=self.traceparent,
        )
        place = (self.source, self.seq, self.attempt, context)
        if self.taken is None:
            envelope: Envelope[Any] = Envelope(self.payload, *place)
        else:
            envelope = Joined(MappingProxyType(self.payload), *place, taken=self.taken)
        return DeadLetter(self.node, envelope, self.reason, self.attempts, at=self.at)


def record_of(letter: DeadLetter) -> Record:
    envelope = letter.envelope
    payload, is_exact = _payload(envelope.payload)
    context = envelope.context
    return Record(
        node=letter.node,
        id=letter.id,
        source=envelope.source,
        seq=envelope.seq,
        attempt=envelope.attempt,
        reason=letter.reason,
        at=letter.at,
        payload=payload,
        is_exact=is_exact,
        taken=envelope.taken if isinstance(envelope, Joined) else None,
        run=context.run,
        custom_context=dict(context.custom_context),
        correlation_id=context.correlation_id,
        traceparent=context.traceparent,
        attempts=letter.attempts,
    )


def write_letters(path: Path, letters: Iterable[DeadLetter]) -> None:
    """Write a file anew, in one step.

    Raises:
        OSError: it can't be written; what was there before is still there.
    """
    # Pure ASCII: a name may hold bytes that are no text, which UTF-8 can't hold either.
    lines = [json.dumps(msgspec.to_builtins(record_of(each)), allow_nan=False) for each in letters]
    scratch = path.with_name(f"{path.name}.new")
    scratch.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    os.replace(scratch, path)


def read_letters(path: Path) -> list[Record]:
    """Return the letters of a file.

    Raises:
        OSError: it can't be read.
        ValueError: a line is no dead letter; with its number.
    """
    records: list[Record] = []
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    records.append(msgspec.convert(json.loads(line), Record))
                except (ValueError, RecursionError) as problem:
                    raise ValueError(f"line {number} is no dead letter: {problem}") from None
    return records


def _payload(value: Any) -> tuple[Any, bool]:
    """Return what stands for a payload in JSON, and whether it is the same."""
    try:
        known = dict(cast("Mapping[Any, Any]", value)) if _is_proxy(value) else value
        plain = msgspec.to_builtins(known, str_keys=True)
        json.dumps(plain, allow_nan=False)
    except Exception:  # a type of the user's, a loop, a number that JSON doesn't know
        return _text(value), False
    return plain, True


def _is_proxy(value: object) -> bool:
    return isinstance(value, MappingProxyType)


def _text(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as problem:  # the user's own
        text = f"(its repr can't be made: {type(problem).__name__})"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
