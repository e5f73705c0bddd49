"""What stays of a failure when its exception is gone.

Rule 1: a summary holds text and numbers only: no exception, frame, traceback or code, so what
the failed body held is free at once (case X17).
Rule 2: taking one is cheap, for a supervisor takes one at every crash: no source line is read,
and text is made only when somebody reads it.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeGuard

import msgspec

OURS = f"{Path(__file__).parents[1]}{os.sep}"
"""Where the files of trouper are."""

_NOT_THEIRS = (OURS, "<attrs generated ")
"""How the files begin that a user has not written, nor called."""

Frame = tuple[str, int, str]
"""File, line, qualified name of the function."""

_FRAMES = 20
"""Innermost frames that are kept: the ones that tell where it happened."""
_CHARACTERS = 2_000
_NOTES = 8
_DEPTH = 8
"""Exceptions along a chain of causes and groups."""
_MEMBERS = 8
_TOTAL = 64
"""Exceptions in one summary: groups of groups would double at every level."""


class FailureSummary(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A failure as data. It can be kept, stored and sent."""

    __module__ = "trouper"

    type: str
    """`ValueError`, `json.decoder.JSONDecodeError`."""
    message: str
    """At most 2,000 characters."""
    notes: tuple[str, ...] = ()
    frames: tuple[tuple[str, int, str], ...] = ()
    """File, line and function, outermost first; the 20 innermost."""
    frames_left_out: int = 0
    cause: "FailureSummary | None" = None
    is_direct: bool = False
    """The cause was named with `raise ... from`; else it was being handled."""
    members: tuple["FailureSummary", ...] = ()
    """The exceptions of a group."""
    members_left_out: int = 0

    @property
    def where(self) -> str:
        """The innermost place, as `file:line in function`; "" if it was never raised.

        Places in trouper itself are left out if there is another: where it was called tells more.
        """
        if not self.frames:
            return ""
        theirs = (each for each in reversed(self.frames) if not each[0].startswith(_NOT_THEIRS))
        return _place(next(theirs, self.frames[-1]))

    def text(self) -> str:
        """Return all of it for a person, the place first that is nearest to the failure."""
        return "\n".join(_lines(self))

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


# msgspec looks for the name that `cause` is annotated with in `trouper`, which loads its names only
# when one is used, and before that in the class. A reader of dead letters uses none.
setattr(FailureSummary, "FailureSummary", FailureSummary)  # noqa: B010  # no field of it


def summarize(exc: BaseException) -> FailureSummary:
    """Return what is worth keeping of `exc`, without keeping `exc`."""
    return _Summarizer().summary(exc, _DEPTH)


class _Summarizer:
    """Walks causes and groups, up to `_TOTAL` exceptions."""

    def __init__(self) -> None:
        self._left = _TOTAL

    def summary(self, exc: BaseException, depth: int) -> FailureSummary:
        self._left -= 1
        frames, left_out = _frames(exc.__traceback__)
        cause, is_direct = _cause(exc)
        may_go_on = depth > 1 and self._left > 0
        deeper = self.summary(cause, depth - 1) if cause is not None and may_go_on else None
        members = self._members(exc, depth - 1)
        return FailureSummary(
            type=_type_name(type(exc)),
            message=_message(exc),
            notes=_notes(exc),
            frames=frames,
            frames_left_out=left_out,
            cause=deeper,
            is_direct=is_direct,
            members=members,
            members_left_out=len(_group(exc)) - len(members),
        )

    def _members(self, exc: BaseException, depth: int) -> tuple[FailureSummary, ...]:
        found: list[FailureSummary] = []
        for each in _group(exc)[:_MEMBERS]:
            if depth < 1 or self._left < 1:
                break
            found.append(self.summary(each, depth))
        return tuple(found)


def _group(exc: BaseException) -> Sequence[BaseException]:
    return exc.exceptions if _is_group(exc) else ()


def _is_group(exc: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    return isinstance(exc, BaseExceptionGroup)


def _cause(exc: BaseException) -> tuple[BaseException | None, bool]:
    if exc.__cause__ is not None:
        return exc.__cause__, True
    return (None if exc.__suppress_context__ else exc.__context__), False


def _type_name(cls: type) -> str:
    hidden = cls.__module__ in ("builtins", "__main__")
    return cls.__qualname__ if hidden else f"{cls.__module__}.{cls.__qualname__}"


def _message(exc: BaseException) -> str:
    try:
        return _cut(str(exc))
    except Exception as problem:  # the user's __str__; its failure must not hide this one
        return f"(its text can't be made: {type(problem).__name__})"


def shown(exc: BaseException) -> str:
    """Return the repr of an exception for a longer text. Never raises, whatever its class does."""
    try:
        return _cut(repr(exc))
    except Exception as problem:
        return f"{_type_name(type(exc))}(its text can't be made: {type(problem).__name__})"


def _notes(exc: BaseException) -> tuple[str, ...]:
    notes: object = getattr(exc, "__notes__", ())
    if not _is_list(notes):  # anybody may set it to anything
        return ()
    return tuple(_cut(each) for each in notes[:_NOTES] if isinstance(each, str))


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _cut(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 3]}..."


def _frames(traceback: TracebackType | None) -> tuple[tuple[Frame, ...], int]:
    found: list[TracebackType] = []
    while traceback is not None:
        found.append(traceback)
        traceback = traceback.tb_next
    kept = tuple(_frame(each) for each in found[-_FRAMES:])
    return kept, len(found) - len(kept)


def _frame(traceback: TracebackType) -> Frame:
    code = traceback.tb_frame.f_code
    return code.co_filename, traceback.tb_lineno, code.co_qualname


def _place(frame: Frame) -> str:
    file, line, function = frame
    return f"{file}:{line} in {function}"


def _lines(failure: FailureSummary) -> Iterator[str]:
    yield str(failure)
    yield from (f"  {note}" for note in failure.notes)
    yield from (f"  at {_place(each)}" for each in reversed(failure.frames))
    if failure.frames_left_out:
        yield f"  and {failure.frames_left_out} outer frames"
    for number, each in enumerate(failure.members, 1):
        member = "\n     ".join(_lines(each))
        yield f"  {number}. {member}"
    if failure.members_left_out:
        yield f"  and {failure.members_left_out} more"
    if failure.cause is not None:
        yield "caused by" if failure.is_direct else "while handling"
        yield from _lines(failure.cause)
