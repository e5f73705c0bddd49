"""Folders on their way: written where nobody looks, then there under their name."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import define, field

from ._chunks import chunks_of
from ._errors import StorageError
from ._local import FILE_MODE, FOLDER_MODE, files_below, hidden_beside, make_folder, move_folder
from ._location import Location
from ._names import check_inner_path
from ._places import Places
from ._storage import CHUNK, Writer, storage_of
from ._writing import commit, write_all

Step = Iterator[None]
"""Work in steps, each of which blocks for a moment: one may stop between any two."""


@define(eq=False)
class Tree:
    """A folder that is being written to its place; each method may be called in another thread."""

    place: Location
    places: Places
    staging: Path | None = None
    """Where its files are meanwhile, on this machine; on the disk of its place, if that is here."""
    size: int = 0
    count: int = 0
    _listed: Any = field(factory=hashlib.sha256, init=False)

    @property
    def content_hash(self) -> str:
        return f"sha256:{self._listed.hexdigest()}"

    def open(self) -> Path:
        """Make an empty folder to write into."""
        if self.place.is_local:
            # Beside the folder that is made for this value alone.
            self.staging = hidden_beside(self.place.local.parent)
            make_folder(self.staging)
        else:
            self.staging = self.places.local_folder()
        return self.staging

    def copy_in(self, source: Path) -> Step:
        """Copy a folder of this machine to the place.

        Raises:
            FileNotFoundError: there is no such folder.
            StorageError: it holds what is no file, or can't be written.
        """
        if not source.is_dir():
            problem = "is no folder" if source.exists() else "is not there"
            raise FileNotFoundError(f"{str(source)!r} {problem}; Dir.save() takes a folder")
        # Where nobody looks, if that can be renamed afterwards; a bucket can't.
        target = Location("file", "", str(self.open())) if self.place.is_local else self.place
        yield from self._take(source, target)
        self._show()

    def publish(self) -> Step:
        """Make what was written into the staging folder visible, under its name."""
        assert self.staging is not None
        if self.place.is_local:
            yield from self._count(self.staging)
            for inner in self.staging.rglob("*"):
                if inner.is_dir():
                    inner.chmod(FOLDER_MODE)
        else:
            yield from self._take(self.staging, self.place)
        self._show()

    def abort(self) -> None:
        """Forget all of it. Never raises."""
        self._drop_staging()
        if not self.place.is_local:
            storage_of(self.place).remove(self.place)

    def _show(self) -> None:
        if self.place.is_local:
            assert self.staging is not None
            move_folder(self.staging, self.place.local)
            self.staging = None
        self._drop_staging()

    def _drop_staging(self) -> None:
        staging, self.staging = self.staging, None
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)

    def _take(self, source: Path, target: Location) -> Step:
        for inner, _size in sorted(files_below(source)):
            place = target / check_inner_path(inner)
            writer = storage_of(place).create(place)
            try:
                yield from _copy(source / inner, writer)
                written = commit(place, writer)
            except BaseException:
                writer.abort()
                raise
            self._add(inner, written.size, written.content_hash)

    def _count(self, folder: Path) -> Step:
        for inner, _size in sorted(files_below(folder)):
            check_inner_path(inner)
            hashed, size = hashlib.sha256(), 0
            for chunk in chunks_of(inner, folder / inner):
                hashed.update(chunk)
                size += len(chunk)
                yield
            (folder / inner).chmod(FILE_MODE)
            self._add(inner, size, f"sha256:{hashed.hexdigest()}")

    def _add(self, inner: str, size: int, content_hash: str) -> None:
        self.size += size
        self.count += 1
        self._listed.update(f"{inner}\0{size}\0{content_hash}\n".encode())


def _copy(source: Path, writer: Writer) -> Step:
    for chunk in chunks_of(source.name, source):
        writer.write(chunk)
        yield


def copy_out(folder: Location, target: Path) -> Step:
    """Copy a folder to this machine, where nobody looks, then give it its name.

    Raises:
        StorageError: there is something at the target, or it can't be written.
    """
    if target.exists():
        raise StorageError(f"{str(target)!r} is there already; choose another `to`, or remove it")
    staging = hidden_beside(target)
    storage = storage_of(folder)
    try:
        make_folder(staging)
        for inner, _size in storage.walk(folder):
            source = storage.stream(folder / check_inner_path(inner), CHUNK)
            write_all(Location("file", "", str(staging / inner)), source)
            yield
        move_folder(staging, target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
