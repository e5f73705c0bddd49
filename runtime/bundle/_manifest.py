"""What is in a bundle: the list of its files, from which its version is computed."""

import os
from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal

import msgspec

from ._hashes import SIZE, hashes

CopyStyle = Literal["loaded_modules", "all", "none"]

FORMAT = 1
NAME = ".trouper-bundle/manifest.json"
"""Of the manifest, in the bundle."""

INTERACTIVE = ".trouper-bundle/interactive.py"
"""Of what was typed into a session, in the bundle."""

MOST_FILES = 20_000
MOST_BYTES = 1 << 30


class BundleError(ValueError):
    """A bundle can't be made as it was asked for."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a bundle."""

    name: str
    hash: str
    """blake2b of its content, in hex."""
    size: int
    executable: bool = False


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle holds. Equal content gives an equal manifest, on any machine."""

    format: int = FORMAT
    style: CopyStyle
    target: str
    """The task or workflow that it was made for."""
    content: str
    """Hash of all of its files: the version, where none was given."""
    files: tuple[Member, ...]

    def as_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def make_manifest(
    style: CopyStyle, target: str, files: Mapping[str, str], typed: bytes | None = None
) -> Manifest:
    """Return the manifest of files, by their names in the bundle.

    Args:
        typed: the code of a session, which is in no file.

    Raises:
        BundleError: there are too many, or they are too large, or one can't be read.
    """
    if len(files) > MOST_FILES:
        raise _too_much(files, f"{len(files):,} files, and at most {MOST_FILES:,} are allowed")
    members: list[Member] = []
    for name in sorted(files):
        try:
            digest, size, executable = hashes.of(files[name])
        except OSError as error:
            raise BundleError(
                f"{files[name]} can't be read for the bundle: {error.strerror}; mend that, or "
                "leave it out by .gitignore"
            ) from error
        members.append(Member(name=name, hash=digest.hex(), size=size, executable=executable))
    total = sum(each.size for each in members)
    if total > MOST_BYTES:
        raise _too_much(files, f"{total:,} bytes, and at most {MOST_BYTES:,} are allowed")
    if typed is not None:
        digest = blake2b(typed, digest_size=SIZE).digest()
        members.append(Member(name=INTERACTIVE, hash=digest.hex(), size=len(typed)))
    return Manifest(style=style, target=target, content=_content(members), files=tuple(members))


def _content(members: list[Member]) -> str:
    hashed = blake2b(digest_size=10)
    for each in members:
        hashed.update(f"{each.name}\0{each.hash}\0{int(each.executable)}\n".encode())
    return hashed.hexdigest()


def _too_much(files: Mapping[str, str], what: str) -> BundleError:
    folder = os.path.commonpath([os.path.dirname(path) for path in files.values()])
    return BundleError(
        f"the bundle of {folder} would hold {what}; leave out data by .gitignore, or use "
        "copy_style='loaded_modules'"
    )


BundleError.__module__ = "trouper"
