"""The file of a journal that is done with, kept for the next one.

To make a file, take room from the disk and remove it waits for the disk longer than all else that
recording a short run does. A file that is left over when its process dies is empty, and nobody's.
"""

import itertools
import mmap
import os
from contextlib import suppress
from pathlib import Path

from attrs import define, field, frozen

from ._journal import FOLDER, Journal, journal_at, make_journal

_PREFIX = "blank."
_count = itertools.count()


@frozen(eq=False)
class _Blank:
    path: Path
    room: mmap.mmap
    """It has a descriptor of its own."""
    pid: int


@define(eq=False)
class BlankJournals:
    """Of one workspace. Any thread may call any method."""

    root: Path
    _kept: list[_Blank] = field(factory=list[_Blank], init=False)

    def make(self, run: int, execution: int) -> Journal:
        """Begin the journal of an execution. Raises: as `make_journal`."""
        path = journal_at(self.root, run, execution)
        blank = self._take()
        if blank is None or os.path.lexists(path):
            return make_journal(self.root, run, execution)
        try:
            os.rename(blank.path, path)
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # the folder was removed, or tidied up
            return make_journal(self.root, run, execution)
        return Journal(path, descriptor, room=blank.room)

    def _take(self) -> _Blank | None:
        with suppress(IndexError):  # another thread may be quicker
            blank = self._kept.pop()
            # What a parent process has kept is the parent's.
            return blank if blank.pid == os.getpid() else None
        return None

    def take_back(self, journal: Journal) -> None:
        """Remove a journal, of which nothing is left to recover."""
        room = None if self._kept else journal.wiped()
        if room is None:
            journal.remove()
            return
        pid = os.getpid()
        aside = self.root / FOLDER / f"{_PREFIX}{pid}.{next(_count)}"
        with suppress(OSError):  # it is not there any more
            os.rename(journal.path, aside)
            self._kept.append(_Blank(aside, room, pid))

    def close(self) -> None:
        """Remove what is kept."""
        while (blank := self._take()) is not None:
            blank.room.close()
            with suppress(OSError):
                os.unlink(blank.path)


def sweep_blanks(root: Path) -> None:
    """Remove what processes that were killed have kept."""
    with suppress(OSError):
        for name in os.listdir(root / FOLDER):
            if name.startswith(_PREFIX) and not _lives(name.split(".")[1]):
                with suppress(OSError):
                    os.unlink(root / FOLDER / name)


def _lives(pid: str) -> bool:
    """Return whether a process may live. One on another host only loses what it would make anew."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:
        return True
    return True
