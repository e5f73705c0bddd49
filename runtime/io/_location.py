"""Where data lies: a local path, `file://`, `s3://` or `gs://`, as text and taken apart."""

import os
import re
from pathlib import Path
from typing import Literal, cast
from urllib.parse import unquote_to_bytes, urlsplit

from attrs import frozen

from ...actors._text import check_text

Scheme = Literal["file", "s3", "gs"]

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
_CHOICES = "a local path, file:///..., s3://BUCKET/... or gs://BUCKET/..."


@frozen
class Location:
    """One place: a folder or a file, on this machine or in a bucket."""

    scheme: Scheme
    bucket: str
    """ "" on this machine."""
    path: str
    """On this machine absolute; in a bucket without a slash at either end, "" for all of it."""

    @property
    def is_local(self) -> bool:
        return self.scheme == "file"

    @property
    def local(self) -> Path:
        assert self.is_local
        return Path(self.path)

    @property
    def name(self) -> str:
        """The last part."""
        return self.path.rpartition("/")[2]

    @property
    def uri(self) -> str:
        """As text; `parse_location` makes the same of it again."""
        if self.is_local:
            return self.local.as_uri()
        return f"{self.scheme}://{self.bucket}/{self.path}".rstrip("/")

    def __truediv__(self, inner: str) -> "Location":
        """Return the place of that relative path below this one."""
        return Location(
            self.scheme,
            self.bucket,
            f"{self.path.rstrip('/')}/{inner}".lstrip("/")
            if not self.is_local
            else os.path.join(self.path, inner),
        )


def parse_location(text: object, what: str) -> Location:
    """Return the place that a text names; a relative path is one from here.

    Args:
        what: for the error: "raw_data_path".

    Raises:
        TypeError, ValueError: it names none; with the fix.
    """
    if not isinstance(text, str):
        raise TypeError(f"{what} takes {_CHOICES}, got {text!r}")
    if not text or "\0" in text or not _is_a_name(text):
        raise ValueError(f"{what} can't be {text!r}; write {_CHOICES}")
    scheme = _SCHEME.match(text)
    if scheme is None:
        return Location("file", "", os.path.abspath(Path(text).expanduser()))
    word = scheme[1].lower()
    if word == "file" and text[len(word) : len(word) + 3] == "://":
        return _parse_file(text, what)
    if word not in ("s3", "gs") or text[len(word) : len(word) + 3] != "://":
        # Known fault F42: such a text must not become a folder called "s3:".
        raise ValueError(f"{what} can't be {text!r}; write {_CHOICES}")
    bucket, _, key = text[len(word) + 3 :].partition("/")
    return _in_bucket(cast("Scheme", word), bucket, key.rstrip("/"), text, what)


def parse_folder(place: str | os.PathLike[str], what: str) -> Path:
    """Return the folder on this machine that a text or path names, absolute.

    Raises:
        TypeError, ValueError: it names none; with the fix.
    """
    text = os.fspath(place)
    try:
        found = parse_location(text, what)
    except (TypeError, ValueError) as problem:
        raise type(problem)(
            f"{what} can't be {text!r}; write a local path, or file:///..."
        ) from None
    check_text(text, what)  # a file system may know more than UTF-8, and SQLite does not
    if not found.is_local:
        # Known fault F42, for workspaces.
        raise ValueError(
            f"{what} can't be {text!r}: a workspace is a folder on this machine. Name one; what "
            f"its runs save goes elsewhere by raw_data_path={text!r}"
        )
    return found.local


def _is_a_name(text: str) -> bool:
    """Return whether a file system could know it."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def lasting(text: str, what: str) -> str:
    """Return the text of a place as whoever reads it later, from elsewhere, finds that.

    Raises: as `parse_location`.
    """
    place = parse_location(text, what)
    return place.path if place.is_local else text


def _parse_file(text: str, what: str) -> Location:
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        raise ValueError(
            f"{what} can't be {text!r}: a file:// URL has an empty host and an absolute path, with "
            "special characters as %XX; write file:///folder, or a local path"
        )
    path = os.fsdecode(unquote_to_bytes(parts.path))
    if not path or "\0" in path:
        raise ValueError(f"{what} can't be {text!r}: it has no path; write file:///folder")
    return Location("file", "", os.path.abspath(path))


def _in_bucket(scheme: Scheme, bucket: str, key: str, text: str, what: str) -> Location:
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(
            f"{what} can't be {text!r}: {bucket!r} is no name of a bucket; "
            f"write {scheme}://BUCKET/..."
        )
    if key and any(part in ("", ".", "..") for part in key.split("/")):
        raise ValueError(f"{what} can't be {text!r}: no part of the path is empty, '.' or '..'")
    return Location(scheme, bucket, key)
