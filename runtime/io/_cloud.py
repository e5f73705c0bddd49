"""Files in buckets: S3, Google's, and what speaks like them. Through obstore, the extra `cloud`.

Credentials and endpoints come from the environment, as everywhere (`AWS_*`, `GOOGLE_*`). Nothing
here is imported, and nothing is contacted, unless a place in a bucket was named.
"""

import hashlib
import io
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from importlib import import_module
from typing import Any, BinaryIO, cast

from ._errors import MissingExtra, StorageError
from ._location import Location
from ._storage import CHUNK, Info

PART = 8 << 20
"""Bytes of one part of an upload. A bucket takes 10,000 parts: 80 GB a file."""
PARTS_AT_ONCE = 2
"""With the one that is being filled: what of a file is in memory."""
_AHEAD = 4 << 20
"""Bytes that an open file asks for at once."""
_MOST_STORES = 16
_RETRIES = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=5),
        "base": 2,
    },
}
_TIMES = {"timeout": timedelta(seconds=120), "connect_timeout": timedelta(seconds=10)}


def need_cloud(place: Location) -> Any:
    """Return the library that knows buckets.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return import_module("obstore")
    except ImportError:
        raise MissingExtra(
            f"{place.uri!r} is in a bucket, and the library for those is not installed; "
            "pip install 'trouper[cloud]', or give a local path"
        ) from None


def bucket_of(place: Location) -> "BucketStorage":
    """Return the storage of a bucket, as the environment says now that it is reached."""
    need_cloud(place)
    said = tuple(
        sorted(
            (name, value)
            for name, value in os.environ.items()
            if name.startswith(("AWS_", "GOOGLE_"))
        )
    )
    return _bucket(place.scheme, place.bucket, said)


@lru_cache(maxsize=_MOST_STORES)
def _bucket(scheme: str, bucket: str, said: tuple[tuple[str, str], ...]) -> "BucketStorage":
    from_url = cast("Any", import_module("obstore.store")).from_url
    # The library reads this variable too, but not where it is given options.
    plain = dict(said).get("AWS_ALLOW_HTTP" if scheme == "s3" else "GOOGLE_ALLOW_HTTP", "")
    options = {**_TIMES, "allow_http": plain.lower() in ("1", "true", "yes", "on")}
    with _talking(f"{scheme}://{bucket}", "reached"):
        store = from_url(f"{scheme}://{bucket}", client_options=options, retry_config=_RETRIES)
    return BucketStorage(store)


def forget_buckets() -> None:
    """Close the connections that are kept for the next time."""
    _bucket.cache_clear()


class BucketWriter:
    """A file on its way to a bucket, which shows it when all of it has come."""

    def __init__(self, store: Any, place: Location) -> None:
        self.size = 0
        self._uri = place.uri
        self._hash = hashlib.sha256()
        with _talking(self._uri, "written"):
            self._file: Any = import_module("obstore").open_writer(
                store, place.path, buffer_size=PART, max_concurrency=PARTS_AT_ONCE
            )

    @property
    def content_hash(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        view = memoryview(chunk).cast("B")
        self._hash.update(view)
        self.size += len(view)
        with _talking(self._uri, "written"):
            self._file.write(view)

    def commit(self) -> None:
        file, self._file = self._file, None
        try:
            with _talking(self._uri, "written"):
                file.close()
        except BaseException as error:
            _forget(file, error)
            raise

    def abort(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            _forget(file, InterruptedError("given up"))


def _forget(file: Any, error: BaseException) -> None:
    """Have the parts removed that have come: they would cost money, and nobody sees them."""
    with suppress(Exception):
        file.__exit__(type(error), error, None)


class BucketReader(io.RawIOBase):
    """Reads a file of a bucket, from any place in it."""

    def __init__(self, file: Any, uri: str) -> None:
        super().__init__()
        self._file = file
        self._uri = uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        with _talking(self._uri, "read"):
            found = memoryview(self._file.read(len(view)))
        view[: len(found)] = found
        return len(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        with _talking(self._uri, "read"):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())


class BucketStorage:
    """One bucket."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._library: Any = import_module("obstore")

    def create(self, place: Location) -> BucketWriter:
        return BucketWriter(self._store, place)

    def open(self, place: Location) -> BinaryIO:
        with _talking(place.uri, "read"):
            file = self._library.open_reader(self._store, place.path, buffer_size=_AHEAD)
        return cast("BinaryIO", io.BufferedReader(BucketReader(file, place.uri), CHUNK))

    def stream(self, place: Location, size: int) -> Generator[bytes, None, None]:
        # One request for all of it, which is much faster than one for each part.
        with _talking(place.uri, "read"):
            parts = iter(self._library.get(self._store, place.path).stream(min_chunk_size=size))
        while True:
            with _talking(place.uri, "read"):
                part = next(parts, None)
            if part is None:
                return
            view = memoryview(part)
            for start in range(0, len(view), size):
                yield bytes(view[start : start + size])

    def info(self, place: Location) -> Info:
        with _talking(place.uri, "read"):
            found: Mapping[str, Any] = self._library.head(self._store, place.path)
        return Info(int(found["size"]), str(found["e_tag"] or found["last_modified"]))

    def walk(self, folder: Location) -> Iterator[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        start = f"{folder.path}/" if folder.path else ""
        with _talking(folder.uri, "read"):
            for batch in self._library.list(self._store, folder.path or None):
                found.extend((each["path"].removeprefix(start), each["size"]) for each in batch)
        yield from sorted(found)

    def remove(self, folder: Location) -> None:
        with suppress(Exception):
            for batch in self._library.list(self._store, folder.path):
                self._library.delete(self._store, [each["path"] for each in batch])

    def probe(self, folder: Location) -> None:
        place = folder / f".probe-{os.getpid()}"
        with _talking(place.uri, "written"):
            self._library.put(self._store, place.path, b"")
            self._library.delete(self._store, place.path)


@contextmanager
def _talking(uri: str, verb: str) -> Generator[None, None, None]:
    """Turn what the library raises into our errors: the first line says it, the rest is its own."""
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise StorageError(f"{uri!r} can't be {verb}: there is no such bucket") from None
        raise FileNotFoundError(f"there is nothing at {uri!r}") from None
    except Exception as error:
        problem = str(error).partition("\n")[0][:300]
        raise StorageError(
            f"{uri!r} can't be {verb}: {problem}; look at the credentials, the endpoint and the "
            "region in the environment (AWS_*, GOOGLE_*), and at the network"
        ) from error
