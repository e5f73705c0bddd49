"""`assets.jsonl` of one scope: the truth about its assets, one appended line for each record.

Rule 1: a record is there when `append` returns, and is never rewritten; a later line of the same
asset stands in the place of an earlier one.
Rule 2: `compact` keeps the last line of each asset; who appends at the same time loses nothing.
"""

import os
import secrets
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from attrs import define, field

from ._append import AppendFile, end_of_lines
from ._errors import ManifestDamaged, translated, writing
from ._records import Asset, Line, Use, line_of, record_of

MANIFEST = "assets.jsonl"
_SCHEMA = 1
_LONGEST_HEAD = 256


class _Head(msgspec.Struct, frozen=True):
    """The first line."""

    trouper: str
    schema: int
    token: str
    """Another one for each file: one that was compacted is not the one that it was made from."""


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What a manifest says behind what was known of it."""

    token: str
    size: int
    """How far it was read, in bytes: to the end of the last whole line."""
    is_anew: bool
    """Whether it is another file than was known, and so read from its start."""
    lines: list[Line]


@define(eq=False)
class Manifest:
    """Any thread of any process may use it."""

    path: Path
    is_durable: bool = field(default=False, kw_only=True)
    on_open: Callable[[], None] = field(default=lambda: None, kw_only=True)
    """Called before the first record is appended, and again where another process has compacted."""
    was_empty: bool = field(default=False, init=False)
    """Whether there was nothing in it when this process opened it first."""
    _file: AppendFile = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._file = AppendFile(
            self.path, head=_new_head, is_durable=self.is_durable, on_open=self._opened
        )

    def _opened(self, _file: AppendFile) -> None:
        self.on_open()

    def append(self, *records: Asset | Use) -> None:
        """Add records; they survive `kill -9` when this returns.

        Raises:
            AssetError: the disk is full or may not be written; none of them is there.
        """
        self._file.append(b"".join(map(line_of, records)))

    @contextmanager
    def alone(self) -> Generator[Callable[[Asset | Use], None], None, None]:
        """Keep all others from adding; give what adds.

        Raises:
            AssetError: as `append`.
        """
        with writing(self.path), self._file.locked() as fd:

            def add(record: Asset | Use) -> None:
                self._file.add(fd, line_of(record))

            yield add

    def compact(self, *, before: Callable[[], None] = lambda: None) -> None:
        """Rewrite it with one line for each asset, if it is there.

        Args:
            before: called with the file locked.

        Raises:
            AssetError: it can't be written; it is as it was.
        """
        if not self.path.exists():
            return
        try:
            with self._file.locked() as fd:
                before()
                lines = _read_from(fd, self.path, 0)
                body = b"".join(map(line_of, _newest(lines)))
                self._file.replace(fd, _new_head() + body)
        except OSError as error:
            raise translated(error, self.path) from error
        self._file.close()

    def close(self) -> None:
        self._file.close()


def _newest(lines: Iterable[Line]) -> Iterable[Line]:
    """Keep the last line of each asset, in the place of its first, and each use once."""
    kept: dict[object, Line] = {}
    for line in lines:
        if isinstance(line, Use):
            kept.setdefault((line.asset, line.producer), line)
        else:
            kept[line.id] = line
    return kept.values()


def _new_head() -> bytes:
    head = _Head(trouper="assets", schema=_SCHEMA, token=secrets.token_hex(8))
    return msgspec.json.encode(head) + b"\n"


def read_manifest(path: Path, token: str = "", known: int = 0) -> Read | None:
    """Return what the file says behind the first `known` bytes; None: it is not there, or empty.

    What is half-written at its end is not there yet.

    Args:
        token: of the file that `known` was told of.

    Raises:
        ManifestDamaged: a line is none of ours; the text names it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return _read(fd, path, token, known)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(fd)


def _unreadable(path: Path, error: OSError) -> ManifestDamaged:
    return ManifestDamaged(f"{str(path)!r} can't be read: {error.strerror}; check the rights there")


def _read(fd: int, path: Path, token: str, known: int) -> Read | None:
    size = end_of_lines(fd, os.fstat(fd).st_size)
    head, start = _head(fd, path, size)
    if head is None:
        return None
    is_anew = head.token != token or not start <= known <= size
    begin = start if is_anew else known
    lines = list(_parsed(fd, path, begin, size))
    return Read(token=head.token, size=size, is_anew=is_anew, lines=lines)


def _read_from(fd: int, path: Path, known: int) -> list[Line]:
    size = end_of_lines(fd, os.fstat(fd).st_size)
    _, start = _head(fd, path, size)
    return list(_parsed(fd, path, max(start, known), size))


def _head(fd: int, path: Path, size: int) -> tuple[_Head | None, int]:
    """Return the first line and its length; None: there is none yet."""
    if size == 0:
        return None, 0
    first, newline, _ = os.pread(fd, _LONGEST_HEAD, 0).partition(b"\n")
    try:
        head = msgspec.json.decode(first, type=_Head)
    except msgspec.MsgspecError as error:
        raise ManifestDamaged(
            f"{str(path)!r} is no manifest of assets ({error}); move it away, and rebuild the "
            "catalog"
        ) from error
    if head.schema > _SCHEMA:
        raise ManifestDamaged(
            f"{str(path)!r} has schema {head.schema}, and this trouper knows {_SCHEMA}: a newer "
            "one has written it. Upgrade trouper"
        )
    return head, len(first) + len(newline)


def _parsed(fd: int, path: Path, begin: int, end: int) -> Iterator[Line]:
    at = begin
    rest = b""
    while at < end:
        block = os.pread(fd, min(1 << 20, end - at), at)
        *whole, rest = (rest + block).split(b"\n")
        at += len(block)
        for line in whole:
            try:
                yield record_of(line)
            except msgspec.MsgspecError as error:
                raise ManifestDamaged(
                    f"{str(path)!r} holds a line that is no record ({error}): {line[:80]!r}; take "
                    "the line out, and rebuild the catalog"
                ) from error
