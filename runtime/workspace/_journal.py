"""What an execution has begun and finished, on disk before the next statement runs.

Rule 1: an entry goes into memory that the file is mapped to, its length last. What was written
survives `kill -9` at any moment; the loss of power only as far as the system has come.
Rule 2: room is taken from the disk before it is written to, so a full disk is an error, no signal.
An entry without its length, or cut off, is at the end, and is as if it had never been written.
Rule 3: entries name an action by a number of the file, which it keeps when the run is recovered:
then the file goes on.

It is no record for people: that is in the database, a little later. It is what `recover` reads.
"""

import errno
import itertools
import mmap
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from attrs import define, frozen

from ..store._errors import StoreError, StoreFull, StoreReadOnly

FOLDER = "journals"
KEPT = "journal"
"""Its name in the folder of a run that has not completed, once that tells how the execution ended:
it moves with the run. In `FOLDER` it lies until then."""
MOST_BYTES = 1 << 30
"""Of one journal; outputs that would make it longer are not kept."""

_HEAD = 4
"""Bytes before an entry, which say how long it is; 0: there is none yet."""
_ROOM = 1 << 16
"""Bytes that are taken from the disk at a time, at least."""
_BEGINS: Final = 0
_ENDS: Final = 1
_AGAIN: Final = 2
_BLAME: Final = 3
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


@define(eq=False)
class Noted:
    """One action, as the journal tells of it."""

    number: int
    parent: int
    """0: it has none."""
    name: str
    task: str
    key: bytes | None
    """What its task was given; None: that can't be told."""
    has_ended: bool = False
    output: bytes | None = None
    """What it gave back, if it has completed and that was kept."""
    blamed: int = 0
    """How many processes have died while it was under way, and nothing below it."""


@frozen(eq=False)
class Story:
    """What a journal tells."""

    actions: Mapping[int, Noted]
    length: int
    """Bytes up to the last whole entry."""

    def suspects(self) -> Iterator[Noted]:
        """Yield the actions that were under way when it ended, and had called none that was."""
        going = [each for each in self.actions.values() if not each.has_ended]
        callers = {each.parent for each in going}
        return (each for each in going if each.number not in callers)


class Journal:
    """The journal of one execution, being written. Any thread may do so."""

    # A write(2) would let go of the interpreter's lock, and wait for others to have it back.

    def __init__(
        self,
        path: Path,
        descriptor: int,
        *,
        length: int = 0,
        last: int = 0,
        room: mmap.mmap | None = None,
    ) -> None:
        self.path = path
        self._descriptor = descriptor
        self._length = length
        self._map = room
        self._room = 0 if room is None else len(room)
        self._numbers = itertools.count(last + 1)
        self._guard = threading.Lock()

    def begins(
        self,
        parent: int,
        name: str,
        task: str,
        key: bytes | None,
        number: int | None = None,
    ) -> int:
        """Note that an action begins; return its number.

        Args:
            number: the one it had in the execution that is recovered.

        Raises:
            StoreError: it can't be written.
        """
        number = next(self._numbers) if number is None else number
        self._write(_encode((_BEGINS, number, parent, name, task, key)))
        return number

    def ends(self, number: int, output: bytes | None) -> None:
        """Note that an action has ended; `output`: of one that completed. Raises: as `begins`."""
        if output is not None and self._length + len(output) > MOST_BYTES:
            output = None
        self._write(_encode((_ENDS, number, output)))

    def again(self, number: int) -> None:
        """Note that an action begins its next attempt: what the last one called is void."""
        self._write(_encode((_AGAIN, number)))

    def blame(self, number: int) -> None:
        """Note that a process died while the action was under way."""
        self._write(_encode((_BLAME, number)))

    def _write(self, entry: bytes) -> None:
        size = len(entry)
        with self._guard:
            at = self._length
            body = at + _HEAD
            end = body + size
            # Behind it stands a length of 0, whatever the file held there before.
            if end + _HEAD > self._room:
                self._grow(end + _HEAD)
            mapped = self._map
            assert mapped is not None
            mapped[body:end] = entry
            mapped[at:body] = size.to_bytes(_HEAD, "little")
            self._length = end

    def _grow(self, needed: int) -> None:
        """Take more room from the disk, twice as much each time."""
        room = max(_ROOM, 2 * self._room, needed)
        try:
            _reserve(self._descriptor, self._length, room - self._length)
            self._unmap()
            self._map = mmap.mmap(self._descriptor, room)
        except OSError as error:
            raise _refused(self.path, error) from error
        self._room = room

    def _unmap(self) -> None:
        mapped, self._map, self._room = self._map, None, 0
        if mapped is not None:
            mapped.close()

    def close(self) -> None:
        """Close the file, cut to what it holds. May be repeated."""
        self._close(is_kept=True)

    def _close(self, *, is_kept: bool) -> None:
        with self._guard:
            descriptor, self._descriptor = self._descriptor, -1
            self._unmap()
        if descriptor >= 0:
            try:
                if is_kept:
                    os.ftruncate(descriptor, self._length)
            finally:
                os.close(descriptor)

    def remove(self) -> None:
        """Close the file and remove it: nothing is left to recover."""
        self._close(is_kept=False)
        self.path.unlink(missing_ok=True)

    def keep_in(self, folder: Path) -> None:
        """Close the file, and have it lie in the folder of the run, which is there."""
        self.close()
        keep_journal(self.path, folder)

    def wiped(self) -> mmap.mmap | None:
        """Close the file with nothing in it; return its memory; None: it is too large to keep."""
        with self._guard:
            room, size, end = self._map, self._room, self._length + _HEAD
            if room is None or size > _ROOM:
                return None
            room[: min(end, size)] = bytes(min(end, size))
            descriptor, self._descriptor = self._descriptor, -1
            self._map, self._room = None, 0
        os.close(descriptor)
        return room


def _reserve(descriptor: int, start: int, size: int) -> None:
    """Have the disk hold `size` bytes from `start` on, and there nothing but zeros."""
    if os.fstat(descriptor).st_size > start:  # to cut off nothing may take a disk as long
        os.ftruncate(descriptor, start)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, start, size)
        return
    zeros = memoryview(bytes(size))
    while zeros:
        zeros = zeros[os.pwrite(descriptor, zeros, start + size - len(zeros)) :]


_FREE = "free some space on the disk. What was finished before is kept"


def _not_made(path: Path, error: OSError) -> StoreError:
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return (StoreFull if is_full else StoreReadOnly)(
        f"the journal {str(path)!r} can't be made: {error.strerror}; "
        f"{'free some space' if is_full else 'check the rights'} there, choose another workspace "
        "with TROUPER_HOME, or run without one"
    )


def _refused(path: Path, error: OSError) -> StoreError:
    return StoreFull(f"the journal {str(path)!r} can't be written: {error.strerror}; {_FREE}")


def journals_in(root: Path) -> Sequence[tuple[int, int]]:
    """Return run and execution, by their rows, of the journals that no run's folder has."""
    return [(int(run), int(execution)) for run, _, execution in _parts_in(root)]


def _parts_in(root: Path) -> Iterator[tuple[str, str, str]]:
    try:
        names = os.listdir(root / FOLDER)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        parts = name.partition(".")
        if parts[0].isdecimal() and parts[2].isdecimal():
            yield parts


def earlier_journals(root: Path, run: int) -> Sequence[Path]:
    """Return those of one run, oldest first."""
    found = sorted(execution for of, execution in journals_in(root) if of == run)
    return [journal_at(root, run, execution) for execution in found]


def journal_at(root: Path, run: int, execution: int) -> Path:
    """Return where the journal of an execution lies while it is written."""
    return root / FOLDER / f"{run}.{execution}"


def keep_journal(path: Path, folder: Path) -> None:
    """Have a journal lie in the folder of its run; where that can't be it stays where it is."""
    with suppress(OSError):
        os.replace(path, folder / KEPT)


def make_journal(root: Path, run: int, execution: int) -> Journal:
    """Begin the journal of an execution.

    Raises:
        StoreError: it can't be made.
    """
    # One folder for all: to make and remove one for each run may take a disk milliseconds.
    path = journal_at(root, run, execution)
    try:
        try:
            return Journal(path, _made(path))
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            return Journal(path, _made(path))
    except OSError as error:
        raise _not_made(path, error) from error


def _made(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)


def continue_journal(before: Path, path: Path) -> tuple[Journal, Story]:
    """Go on with the journal of an earlier execution; return it, and what it tells so far.

    What was under way when that ended is blamed for it.

    Args:
        path: where it goes on.

    Raises:
        StoreError: it can't be written.
    """
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        before.rename(path)
        story = read_journal(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _not_made(path, error) from error
    journal = Journal(path, descriptor, length=story.length, last=max(story.actions, default=0))
    try:
        for suspect in tuple(story.suspects()):
            journal.blame(suspect.number)
            suspect.blamed += 1
    except BaseException:
        journal.close()
        raise
    return journal, story


def read_journal(path: Path) -> Story:
    """Return what a journal tells, up to the last whole entry.

    Raises:
        FileNotFoundError: there is none.
    """
    actions: dict[int, Noted] = {}
    below: dict[int, list[int]] = {}
    length = 0
    data = path.read_bytes()
    for end, (kind, number, *more) in _entries(data):
        length = end
        if kind == _BEGINS:
            _begin(actions, below, number, *more)
        elif (noted := actions.get(number)) is None:
            continue
        elif kind == _ENDS:
            noted.has_ended, noted.output = True, more[0]
        elif kind == _AGAIN:
            _forget(actions, below, number)
        else:
            noted.blamed += 1
    return Story(actions, length)


def _begin(
    actions: dict[int, Noted],
    below: dict[int, list[int]],
    number: int,
    parent: int,
    name: str,
    task: str,
    key: bytes | None,
) -> None:
    known = actions.get(number)
    if known is not None:  # it is done again in a later execution, and what is below it stays
        known.has_ended, known.name = False, name
        return
    actions[number] = Noted(number, parent, name, task, key)
    below.setdefault(parent, []).append(number)


def _forget(actions: dict[int, Noted], below: dict[int, list[int]], number: int) -> None:
    """Drop all below an action."""
    waiting = below.pop(number, [])
    while waiting:
        each = waiting.pop()
        actions.pop(each, None)
        waiting += below.pop(each, [])


def _entries(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield each whole entry, and where it ends."""
    at = 0
    while at + _HEAD <= len(data):
        size = int.from_bytes(data[at : at + _HEAD], "little")
        end = at + _HEAD + size
        if not size or end > len(data):
            return
        yield end, _decode(data[at + _HEAD : end])
        at = end
