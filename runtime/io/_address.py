"""What a file and a folder that lie somewhere else have in common: an address."""

from pathlib import Path

import msgspec

from ._errors import StorageError
from ._location import Location, parse_location


class Addressed(msgspec.Struct, frozen=True, kw_only=True):
    """It is told by its address; what lies there is not read."""

    uri: str
    """Its address: `file:///...`, `s3://...` or `gs://...`."""
    size: int
    """Bytes; of a folder, of all files in it."""

    def __post_init__(self) -> None:
        if self.place.uri != self.uri:
            what = type(self).__name__
            raise ValueError(f"a {what} has an address as {self.place.uri!r}, not {self.uri!r}")

    @property
    def place(self) -> Location:
        return parse_location(self.uri, f"a {type(self).__name__}")

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def path(self) -> Path:
        """Where it is on this machine.

        Raises:
            StorageError: it is in a bucket.
        """
        if not self.place.is_local:
            raise StorageError(f"{self.uri!r} has no path on this machine; call download()")
        return self.place.local
