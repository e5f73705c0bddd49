"""Put a bundle where others find it: with the data of runs, and a copy where one was asked for."""

from pathlib import Path
from typing import IO, cast

import msgspec

from ..io._location import Location
from ..io._storage import Writer, storage_of
from ._archive import replacing
from ._code import Bundle


class BundleReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a dry run has made instead of running: the output `bundle` of its run."""

    version: str
    uri: str
    """Where the bundle was put."""
    size: int
    """Bytes of it."""
    hash: str
    """Of the archive: `sha256:` and 64 hexadecimal digits."""
    files: tuple[str, ...]
    """Names of what is in it, without the manifest."""
    copied_to: str | None = None
    would_run: str = ""
    """In words, what a real run would do."""


class _Out:
    """A storage's writer, as the library of archives wants a file."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def write(self, data: bytes) -> int:
        self._writer.write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back here."""


def upload(bundle: Bundle, version: str, raw: Location, copy_to: Path | None) -> BundleReport:
    """Write a bundle to `<raw>/bundles/<version>.tar.gz`, and copy it; return what was done.

    Raises:
        BundleError: a file was changed meanwhile.
        MissingExtra: `raw` is in a bucket, and the library for those is not installed.
        OSError: it can't be written.
    """
    name = f"{version}.tar.gz"
    place = raw / f"bundles/{name}"
    writer = storage_of(place).create(place)
    try:
        bundle.write(cast("IO[bytes]", _Out(writer)))
        writer.commit()
    except BaseException:
        writer.abort()
        raise
    return BundleReport(
        version=version,
        uri=place.uri,
        size=writer.size,
        hash=writer.content_hash,
        files=tuple(each.name for each in bundle.manifest.files),
        copied_to=None if copy_to is None else str(_copy(bundle, copy_to, name)),
    )


def _copy(bundle: Bundle, to: Path, name: str) -> Path:
    # A folder gets it under its own name.
    path = (to / name if to.is_dir() else to).absolute()
    with replacing(path) as file:
        bundle.write(file)
    return path


BundleReport.__module__ = "trouper"
