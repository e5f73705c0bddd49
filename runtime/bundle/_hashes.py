"""Hashes of files, taken again only when a file has changed."""

import os
import threading
from hashlib import blake2b
from time import time

SIZE = 16
"""Bytes of a hash."""

MOST = 20_000
"""Files whose hash is remembered; beyond that all are forgotten."""

SETTLED = 2.0
"""Seconds after a change in which another one may leave the times of the file as they are."""

_Known = tuple[int, int, int, int]
"""Time of the last change, of its description, size, and number of the file."""


class Hashes:
    """Remembers the hashes of files for as long as these look the same."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[_Known, bytes]] = {}
        self._lock = threading.Lock()

    def of(self, path: str) -> tuple[bytes, int, bool]:
        """Return hash, size, and whether its owner may execute it.

        Raises:
            OSError: it can't be read.
        """
        stat = os.stat(path)
        looks = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)
        known = self._known.get(path)
        if known is None or known[0] != looks:
            known = (looks, hash_file(path))
            if time() - max(stat.st_mtime, stat.st_ctime) > SETTLED:
                self._remember(path, known)
        return known[1], stat.st_size, bool(stat.st_mode & 0o100)

    def _remember(self, path: str, known: tuple[_Known, bytes]) -> None:
        with self._lock:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[path] = known


def hash_file(path: str) -> bytes:
    hashed = blake2b(digest_size=SIZE)
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            hashed.update(data)
    return hashed.digest()


hashes = Hashes()
"""Of this process."""
