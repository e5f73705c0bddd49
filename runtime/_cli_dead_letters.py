"""`trouper dead-letters`, and the dead letters that `trouper run` keeps and puts back."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from time import time

from ..actors._dead_letters import DeadLetter
from ._cli_problem import LateProblem, Problem
from ._cli_text import columns, count, plain, shown
from ._dead_letter_file import Record, read_letters, write_letters
from ._execution import Execution
from ._redeliver import restore


def dead_letters_command(file: str, wanted: str | None) -> Iterator[str]:
    """Yield the lines that show a file: a line for each letter, or all of one.

    Raises:
        Problem: the file can't be read, or has no such letter.
    """
    records = _read(file, "FILE")
    if wanted is not None:
        chosen = [record for record in records if record.id == wanted]
        if not chosen:
            raise Problem(f"{plain(file)} has no dead letter {plain(wanted)!r}; leave out --id")
        for record in chosen:
            yield from _story(record)
        return
    yield count(len(records), "dead letter")
    if records:
        head = ("node", "id", "attempt", "reason", "ago", "payload", "last failure")
        yield from columns([head, *map(_row, records)])


def check_writable(file: str) -> None:
    """Refuse a file for dead letters that can't be written, before anything runs.

    Raises:
        Problem: it can't.
    """
    try:
        with Path(file).open("a", encoding="ascii"):
            pass
    except OSError as error:
        raise Problem(
            f"--dead-letters {plain(file)} can't be written: {error.strerror}; choose another path"
        ) from None


def keep(file: str, letters: Iterable[DeadLetter]) -> None:
    """Write the letters of a run that has ended.

    Raises:
        LateProblem: the file can't be written any more.
    """
    try:
        write_letters(Path(file), letters)
    except OSError as error:
        raise LateProblem(
            f"--dead-letters {plain(file)} can't be written: {error.strerror}; they are lost"
        ) from None


def put_back(execution: Execution, file: str) -> int:
    """Put the letters of a file into a run that has not begun; return how many.

    Raises:
        Problem: the file can't be read, or a letter fits nowhere; then nothing runs.
    """
    records = _read(file, "--redeliver")
    for record in records:
        if not record.is_exact:
            raise Problem(
                f"--redeliver {plain(file)}: JSON can't hold the payload of {plain(record.id)!r}, "
                f"{shown(record.payload)}; take its line out, and send it again by hand"
            )
    try:
        return restore(execution, [record.letter() for record in records])
    except (ValueError, TypeError) as problem:
        raise Problem(f"--redeliver {plain(file)}: {plain(problem, 2_000)}") from None


def _read(file: str, what: str) -> list[Record]:
    try:
        return read_letters(Path(file))
    except OSError as error:
        raise Problem(
            f"{what} {plain(file)} can't be read: {error.strerror}; check the path"
        ) from None
    except ValueError as error:
        raise Problem(
            f"{what} {plain(file)}: {plain(error)}; give a file that `trouper run "
            "--dead-letters` has written"
        ) from None


def _row(record: Record) -> tuple[str, ...]:
    last = str(record.attempts[-1].failure) if record.attempts else ""
    return (
        plain(record.node),
        plain(record.id),
        str(record.attempt),
        plain(record.reason),
        _age(record.at),
        shown(record.payload, 60),
        plain(last, 60),
    )


def _story(record: Record) -> Iterator[str]:
    yield f"{plain(record.node)} gave up {plain(record.id)}: {plain(record.reason)}"
    yield f"  {_age(record.at)} ago, in run {plain(record.run)}"
    yield f"  payload {shown(record.payload, 2_000)}"
    for key, value in record.custom_context.items():
        yield f"  {plain(key)} = {plain(value)}"
    for attempt in record.attempts:
        yield f"  attempt {attempt.number}, {_age(attempt.at)} ago"
        for line in attempt.failure.text().split("\n"):
            yield f"    {plain(line)}"


def _age(at: float) -> str:
    """Return how long ago something was: `12 s`, `3 min`, `5 h`, `2 d`."""
    seconds = max(0.0, time() - at)
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
