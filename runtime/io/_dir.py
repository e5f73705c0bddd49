"""`trouper.io.Dir`: a folder by reference, on this machine or in a bucket."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, cast

import anyio

from ._address import Addressed
from ._errors import StorageError
from ._file import File, mime_of
from ._location import parse_location
from ._names import check_inner_path, check_value_name
from ._places import current_action, current_places
from ._storage import storage_of
from ._tree import Step, Tree, copy_out
from ._writing import in_thread


class Dir(Addressed, frozen=True, kw_only=True, tag_field="type", tag="trouper.Dir"):
    """A folder that lies somewhere else. This is its address, which tasks hand on.

    Make one with `Dir.save`, `Dir.create` or `Dir.existing`; each has an async form, with an `a`
    before its name. It is made of its files: folders in it that hold none are not kept.
    """

    count: int
    """Files."""
    content_hash: str = ""
    """Of the paths and contents of all files; "" of one that was there already."""

    # -- making one ------------------------------------------------------------------------------

    @classmethod
    def save(cls, name: str, folder: str | PathLike[str], *, keep: bool = True) -> "Dir":
        """Copy a folder of this machine into the storage of the run, and return its address.

        Args:
            name: how it is called; the folder around it is new, so that none is overwritten.
            folder: its path. Links to files are followed; links to folders are refused.
            keep: False: it is only passed between tasks, and goes with the run.

        Raises:
            NoStorage: nothing said where the run's data goes, or there is no run.
            FileNotFoundError: there is no such folder.
            ValueError: a name in it is not legal.
            StorageError: it can't be read or written; nothing of it is to be seen.
        """
        tree = _new_tree(name, keep=keep)
        try:
            for _ in tree.copy_in(Path(folder)):
                pass
        except BaseException:
            tree.abort()
            raise
        return _made(tree)

    @classmethod
    async def asave(cls, name: str, folder: str | PathLike[str], *, keep: bool = True) -> "Dir":
        """Do as `save`, without blocking."""
        tree = _new_tree(name, keep=keep)
        try:
            await _in_steps(tree.copy_in(Path(folder)))
        except BaseException:
            await _give_up(tree)
            raise
        return _made(tree)

    @classmethod
    @contextmanager
    def create(cls, name: str, *, keep: bool = True) -> "Generator[DirWriter, None, None]":
        """Write a new folder: `with Dir.create(name) as out: (out.path / "a.txt").write_text(...)`.

        At the end of the block it is there, as `out.dir`; if the block raises, it never was.
        Arguments and errors: as `save`.
        """
        tree = _new_tree(name, keep=keep)
        try:
            out = DirWriter(tree.open())
            yield out
            for _ in tree.publish():
                pass
        except BaseException:
            tree.abort()
            raise
        out.dir = _made(tree)

    @classmethod
    @asynccontextmanager
    async def acreate(cls, name: str, *, keep: bool = True) -> "AsyncGenerator[DirWriter, None]":
        """Do as `create`: `async with`, and the same paths to write to."""
        tree = _new_tree(name, keep=keep)
        try:
            out = DirWriter(cast("Path", await in_thread(tree.open)))
            yield out
            await _in_steps(tree.publish())
        except BaseException:
            await _give_up(tree)
            raise
        out.dir = _made(tree)

    @classmethod
    def existing(cls, path: str | PathLike[str]) -> "Dir":
        """Refer to a folder that is there already; its files are counted, not read.

        Raises:
            FileNotFoundError: it is not there, or, in a bucket, holds no file.
            StorageError: it is no folder, or can't be reached.
        """
        place = parse_location(str(path), "a Dir")
        if place.is_local and place.local.is_file():
            raise StorageError(f"{place.path!r} is a file; of that make a trouper.io.File")
        sizes = [size for _, size in storage_of(place).walk(place)]
        if not sizes and not place.is_local:
            raise FileNotFoundError(f"there is no file below {place.uri!r}")
        return cls(uri=place.uri, size=sum(sizes), count=len(sizes))

    @classmethod
    async def aexisting(cls, path: str | PathLike[str]) -> "Dir":
        return cast("Dir", await in_thread(cls.existing, path))

    # -- what it is ------------------------------------------------------------------------------

    def __cache_key__(self) -> tuple[str, ...]:
        """Return what tells it from others: what is in it if that is known, not where it lies."""
        if self.content_hash:
            return (self.name, self.content_hash)
        return (self.uri, str(self.size), str(self.count))

    def exists(self) -> bool:
        """Return whether it is still there."""
        place = self.place
        if place.is_local:
            return place.local.is_dir()
        return not self.count or any(True for _ in storage_of(place).walk(place))

    async def aexists(self) -> bool:
        return bool(await in_thread(self.exists))

    # -- reading it ------------------------------------------------------------------------------

    def files(self) -> Iterator[tuple[str, File]]:
        """Yield the relative path and the file of all in it, in order of paths; nothing is read.

        Raises:
            FileNotFoundError: it is not there any more.
        """
        place = self.place
        for inner, size in storage_of(place).walk(place):
            found = place / inner
            yield inner, File(uri=found.uri, size=size, mime=mime_of(found.name, None))

    async def afiles(self) -> AsyncIterator[tuple[str, File]]:
        for each in cast("list[tuple[str, File]]", await in_thread(lambda: list(self.files()))):
            yield each

    def file(self, path: str | PurePosixPath) -> File:
        """Return one of its files.

        Args:
            path: relative to this folder, with `/`.

        Raises:
            ValueError: the path leads out of it.
            FileNotFoundError: there is none.
        """
        return File.existing((self.place / check_inner_path(path)).uri)

    async def afile(self, path: str | PurePosixPath) -> File:
        return cast("File", await in_thread(self.file, path))

    def download(self, to: str | PathLike[str] | None = None) -> Path:
        """Have it on this machine, and return where.

        Args:
            to: the path of the copy, where nothing is yet; left out: where it is, if that is on
                this machine, else a copy that goes with the run.

        Raises:
            NoStorage: it is in a bucket, `to` was left out, and there is no run.
            StorageError: it can't be read, or the copy can't be written.
        """
        target, steps = self._download(to)
        for _ in steps:
            pass
        return target

    async def adownload(self, to: str | PathLike[str] | None = None) -> Path:
        target, steps = self._download(to)
        await _in_steps(steps)
        return target

    def _download(self, to: str | PathLike[str] | None) -> tuple[Path, Step]:
        if to is None and self.place.is_local:
            return self.path, iter(())
        if to is None:
            folder = current_places("Dir.download() without `to`").local_folder()
            target = folder / self.name
        else:
            target = Path(to).absolute()
        return target, copy_out(self.place, target)


class DirWriter:
    """What a block writes a new folder with."""

    def __init__(self, path: Path) -> None:
        self.path = path
        """An empty folder of this machine: write into it, with whatever writes files."""
        self.dir: Dir | None = None
        """What was written; None: the block goes on, or it failed."""


def _new_tree(name: str, *, keep: bool) -> Tree:
    check_value_name(name, "a folder")
    places = current_places(f"Dir.save({name!r})")
    return Tree(places.new(name, current_action(), keep=keep), places)


def _made(tree: Tree) -> Dir:
    return Dir(uri=tree.place.uri, size=tree.size, count=tree.count, content_hash=tree.content_hash)


async def _in_steps(steps: Step) -> None:
    """Go through work in threads, a step each, so that a cancel need not wait for all of it."""
    end: Any = object()
    try:
        while await in_thread(next, steps, end) is not end:
            pass
    finally:
        if hasattr(steps, "close"):
            with anyio.CancelScope(shield=True):
                await in_thread(cast("Generator[None, None, None]", steps).close)


async def _give_up(tree: Tree) -> None:
    with anyio.CancelScope(shield=True):
        await in_thread(tree.abort)


Dir.__module__ = DirWriter.__module__ = "trouper.io"
