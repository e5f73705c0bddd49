"""What may go wrong with assets, each with its fix; and how the system's words become ours."""

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class AssetError(Exception):
    """An asset can't be written, read or found. What was written before is still there."""


class AssetNameError(AssetError, ValueError):
    """The name is none that an asset can have."""


class AssetDataError(AssetError, TypeError):
    """The data is of no kind that can be kept."""


class AssetsFull(AssetError):
    """The disk is full. Nothing half-written is left."""


class AssetsReadOnly(AssetError):
    """The folder may not be written."""


class AssetGone(AssetError):
    """An asset is recorded, but its file is not there any more."""


class ManifestDamaged(AssetError):
    """A manifest holds what no trouper wrote, or a newer one did."""


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def writing(path: Path | str) -> Generator[None, None, None]:
    """Turn what the system raises inside into an `AssetError` that names the file and the fix."""
    try:
        yield
    except OSError as error:
        raise translated(error, path) from error


def translated(error: OSError, path: Path | str) -> AssetError:
    """Return our error for one of the system's."""
    place = str(path)
    if error.errno in _FULL:
        return AssetsFull(
            f"{place!r} can't be written: {error.strerror}; free some space there. What was "
            "written before is kept"
        )
    if error.errno in _FORBIDDEN:
        return AssetsReadOnly(
            f"{place!r} can't be written: {error.strerror}; check the rights there, or choose "
            "another workspace with TROUPER_HOME"
        )
    if error.errno in (errno.ENOTDIR, errno.EISDIR):
        return AssetNameError(
            f"{place!r} can't be written: part of the name is the name of another asset "
            f"({error.strerror}); choose another name"
        )
    if error.errno == errno.ENAMETOOLONG:
        return AssetNameError(f"{place!r} is too long for the file system; choose a shorter name")
    return AssetError(f"{place!r} can't be written: {error.strerror or error}; look after the disk")


for _each in (
    *(AssetError, AssetNameError, AssetDataError, AssetsFull, AssetsReadOnly, AssetGone),
    ManifestDamaged,
):
    _each.__module__ = "trouper"
