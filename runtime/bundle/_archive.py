"""A bundle as a tar.gz: equal content gives equal bytes, whenever and wherever it is made."""

import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO

from ._hashes import SIZE
from ._manifest import INTERACTIVE, NAME, BundleError, Manifest, Member


def write_archive(
    out: IO[bytes], manifest: Manifest, files: Mapping[str, str], typed: bytes | None
) -> None:
    """Write a bundle: the manifest first, then its files in their order.

    Raises:
        BundleError: a file is no longer as it was when the manifest was made.
        OSError: one can't be read, or `out` not written.
    """
    # Neither the time nor the name of the file goes into the header of gzip.
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        _add(tar, NAME, manifest.as_json())
        for member in manifest.files:
            if member.name == INTERACTIVE:
                _add(tar, INTERACTIVE, typed or b"")
            else:
                _add_file(tar, member, files[member.name])


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    tar.addfile(_head(name, len(data), executable=False), io.BytesIO(data))


def _add_file(tar: tarfile.TarFile, member: Member, path: str) -> None:
    with open(path, "rb") as file:
        reader = _Hashing(file)
        try:
            tar.addfile(_head(member.name, member.size, executable=member.executable), reader)
        except OSError as error:
            if reader.failed:
                raise
            raise _changed(path) from error  # tarfile says so of a file that is too short
        if reader.hashed.hexdigest() != member.hash or file.read(1):
            raise _changed(path)


def _changed(path: str) -> BundleError:
    return BundleError(f"{path} was changed while it was bundled; try again")


class _Hashing(io.RawIOBase):
    """Reads a file and hashes what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hashed = blake2b(digest_size=SIZE)
        self.failed = False

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._file.read(size)
        except OSError:
            self.failed = True
            raise
        self.hashed.update(data)
        return data


def _head(name: str, size: int, *, executable: bool) -> tarfile.TarInfo:
    # Its owner, group and time are those of a new TarInfo: 0, "" and 0.
    head = tarfile.TarInfo(name)
    head.size = size
    head.mode = 0o755 if executable else 0o644
    return head


@contextmanager
def replacing(path: Path) -> Generator[IO[bytes], None, None]:
    """Open a file that takes the place of `path` at the end of the block, whole or not at all.

    Raises:
        OSError: it can't be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise
