"""`actions-N.jsonl` in the folder of a run: the actions of an execution that has many.

It grows while the execution goes on, behind the database: so the end has nothing left to write. Of
two lines of one action the later one counts.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ..assets._append import make_folder, write_all
from ..assets._errors import ManifestDamaged
from ..store._connections import FILE_MODE
from ..store._records import ActionRecord
from ..store._run_copies import FEW_ACTIONS

MOST_ACTIONS = 100_000
"""Actions of an execution that its file holds."""

_encode = msgspec.json.Encoder().encode_lines
_decode = msgspec.json.Decoder(ActionRecord).decode_lines


def name_of_actions(number: int) -> str:
    """Return what the file of an execution is called."""
    return f"actions-{number}.jsonl"


class ActionsFile:
    """That of one execution. One thread at a time may call it."""

    def __init__(self, folder: Path, number: int) -> None:
        self._path = folder / name_of_actions(number)
        self._few: dict[str, ActionRecord] = {}
        """As long as there are few: they stand elsewhere then."""
        self._descriptor = -1
        self._lines = 0
        self._is_torn = False

    @property
    def is_whole(self) -> bool:
        """Whether it holds all that was added; else it has to be written anew."""
        return self._descriptor >= 0 and not self._is_torn

    def add(self, records: Sequence[ActionRecord]) -> None:
        """Write what the database has of some actions."""
        if self._is_torn:
            return
        if self._descriptor < 0:
            self._few.update((each.name, each) for each in records)
            if len(self._few) <= FEW_ACTIONS:
                return
            records, self._few = tuple(self._few.values()), {}
        self._lines += len(records)
        try:
            if self._lines > MOST_ACTIONS:
                raise ValueError
            self._write(_encode(records))
        except (OSError, ValueError):  # or half a pair of surrogates: the end writes it anew
            self._is_torn = True

    def _write(self, lines: bytes) -> None:
        if self._descriptor < 0:
            make_folder(self._path.parent)
            flags = os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, FILE_MODE)
        write_all(self._descriptor, lines)

    def close(self) -> None:
        """Let the file go; what is added later is not written. May be repeated."""
        self._is_torn = True
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def read_actions(folder: Path, number: int) -> Sequence[ActionRecord]:
    """Return the actions of an execution, as far as they were written.

    Raises:
        ManifestDamaged: the file can't be read, or is none of ours.
    """
    path = folder / name_of_actions(number)
    text = b""
    with suppress(FileNotFoundError, NotADirectoryError):
        text = _text(path)
    try:
        # What is behind the last newline was being written when its process was killed.
        found = _decode(text[: text.rfind(b"\n") + 1])
    except ValueError as error:
        raise ManifestDamaged(
            f"{str(path)!r} holds a line that is no action ({error}); move the file away"
        ) from error
    return tuple({each.name: each for each in found}.values())


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise ManifestDamaged(
            f"{str(path)!r} can't be read: {error.strerror}; check the rights there"
        ) from error
