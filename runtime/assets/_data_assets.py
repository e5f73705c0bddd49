"""`scope.data_assets`: files and folders from elsewhere, by a name that runs find them by."""

import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import trio

from ..store._asset_rows import AssetQuery
from ._append import make_folder
from ._artifacts import Tags, tags_of
from ._contents import CHUNK, mime_of
from ._errors import AssetDataError, AssetError, writing
from ._names import file_of
from ._producing import Producing
from ._records import DataAsset, Producer
from ._scope import Scope
from ._shelf import FOLDERS, Shelf, new_id, shelf_of

Action = Literal["copy", "move", "symlink", "hardlink"]
_FOLDER = FOLDERS["data"]


class DataAssets:
    """What was imported into a workspace, project, experiment or run."""

    def __init__(self, shelf: Shelf, producer: Callable[[], Producer] = Producer) -> None:
        self._shelf = shelf
        self._producer = producer

    def import_asset(
        self,
        name: str,
        src: str | PathLike[str],
        action: Action = "copy",
        *,
        tags: Tags = None,
        mime: str | None = None,
    ) -> DataAsset:
        """Take a file or folder in, under a name; again: a new version.

        Args:
            action: "copy"; "move", and `src` is gone; "symlink", which follows what becomes of
                `src`; "hardlink", the same file under one more name (on one disk).
            tags: as of `ctx.artifact.save`.
            mime: None: told by the name of `src`.

        Raises:
            AssetNameError, AssetDataError: it can't be called so; or there is no such `src`.
            AssetError: it can't be written; `src` is as it was.
        """
        if action not in get_args(Action):
            raise ValueError(
                f"action can't be {action!r}; choose one of: {', '.join(get_args(Action))}"
            )
        kept, source = tags_of(tags), Path(os.path.abspath(os.fspath(src)))
        file_of(name)
        if not source.exists():
            raise AssetDataError(f"{name!r} can't be imported: there is no {str(source)!r}")
        if not (source.is_file() or source.is_dir()):
            raise AssetDataError(
                f"{name!r} can't be imported: {str(source)!r} is no file and no folder"
            )
        shelf = self._shelf
        with writing(shelf.path / _FOLDER):
            size, digest, version, place = self._take_in(name, source, action)
        asset = DataAsset(
            id=new_id(),
            name=name,
            version=version,
            created=time.time(),
            file=place,
            size=size,
            hash=digest,
            mime=mime or mime_of(source.name, "bytes"),
            tags=kept,
            producer=self._producer(),
            source=str(source),
            action=action,
            is_folder=(shelf.path / place).is_dir(),
        )
        shelf.append(asset)
        return shelf.placed(asset)

    async def aimport_asset(
        self,
        name: str,
        src: str | PathLike[str],
        action: Action = "copy",
        *,
        tags: Tags = None,
        mime: str | None = None,
    ) -> DataAsset:
        """Do so in a worker thread."""
        return await trio.to_thread.run_sync(
            partial(self.import_asset, name, src, action, tags=tags, mime=mime)
        )

    def get(self, name: str, *, version: int | None = None) -> DataAsset | None:
        """Return what is called so in this scope: a version of it, else the newest; None: none."""
        found: DataAsset | None = self._shelf.newest(name, ("data",), version=version)
        return found

    def list(self) -> "list[DataAsset]":
        """Return all that was imported into this scope, by name and version."""
        self._shelf.catch_up()
        query = AssetQuery(scope=self._shelf.key, scope_alone=True, kinds=("data",), order="name")
        return self._shelf.select(query)

    def _take_in(self, name: str, source: Path, action: Action) -> tuple[int, str, int, str]:
        """Bring it here whole, then give it a version; return size, hash, version and place."""
        home = self._shelf.path / _FOLDER
        make_folder(home)
        # A folder of its own for each version: to rename one onto another that is not empty fails.
        fresh = home / f".{os.getpid()}-{secrets.token_hex(8)}.tmp"
        make_folder(fresh)
        here = fresh / file_of(source.name)
        try:
            size, digest = hash_of(source)
            _BRING[action](source, here)
            try:
                version, place = self._publish(name, fresh, here.name)
            except BaseException:
                if action == "move":
                    _move(here, source)
                raise
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        return size, digest, version, place

    def _publish(self, name: str, fresh: Path, file: str) -> tuple[int, str]:
        version = self._shelf.last_version("data", name) + 1
        while True:
            place = f"{_FOLDER}/{file_of(name)}/@{version}"
            target = self._shelf.path / place
            make_folder(target.parent)
            try:
                os.rename(fresh, target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                version += 1
                continue
            self._shelf.note_version("data", name, version)
            return version, f"{place}/{file}"


def data_assets_of(scope: Scope) -> DataAssets:
    """Return the data assets of a scope, imported by nobody's task."""
    return DataAssets(shelf_of(scope))


def data_assets_in(shelf: Shelf, producing: Producing, context: Any) -> DataAssets:
    """Return those of a run, imported by one of its tasks."""
    return DataAssets(shelf, lambda: producing.producer(context))


# -- how it gets here -----------------------------------------------------------------------------


def _copy(source: Path, here: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, here, symlinks=True)
    else:
        shutil.copyfile(source, here)
        os.chmod(here, 0o600)


def _move(source: Path, here: Path) -> None:
    shutil.move(source, here)


def _symlink(source: Path, here: Path) -> None:
    here.symlink_to(source)


def _hardlink(source: Path, here: Path) -> None:
    try:
        if source.is_dir():
            shutil.copytree(source, here, symlinks=True, copy_function=os.link)
        else:
            os.link(source.resolve(), here)
    except (OSError, shutil.Error) as error:
        raise AssetError(
            f"{str(source)!r} can't be linked to ({error}): a hard link needs the same disk, and a "
            "file of yours; use action='copy' or 'symlink'"
        ) from error


_BRING: dict[Action, Callable[[Path, Path], None]] = {
    "copy": _copy,
    "move": _move,
    "symlink": _symlink,
    "hardlink": _hardlink,
}


# -- what it is -----------------------------------------------------------------------------------


def hash_of(path: Path) -> tuple[int, str]:
    """Return bytes and hash of a file; of a folder, over names, sizes and hashes of all files."""
    if not path.is_dir():
        return _hash_of_file(path)
    size, whole = 0, hashlib.sha256()
    for each in sorted(_files_below(path)):
        if each.is_symlink():
            told = f"-> {os.readlink(each)}"
        else:
            bytes_of_it, told = _hash_of_file(each)
            size += bytes_of_it
        name = each.relative_to(path).as_posix()
        whole.update(f"{name}\0{told}\0".encode("utf-8", "surrogateescape"))
    return size, f"sha256:{whole.hexdigest()}"


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, file) for file in files)
        yield from (Path(parent, each) for each in folders if os.path.islink(Path(parent, each)))


def _hash_of_file(path: Path) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, f"sha256:{digest.hexdigest()}"
