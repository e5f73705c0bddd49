"""The code of one run: its bundle, made when it is asked for, and never before."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import IO, Any

from attrs import define, field

from ._files import all_files, loaded_files
from ._manifest import BundleError, CopyStyle, Manifest, make_manifest
from ._recent import recent
from ._root import file_of, root_of
from ._session import typed_code


@define(eq=False)
class Code:
    """What a run would bundle."""

    target: str = ""
    """Name of the task or workflow."""
    bodies: Sequence[Any] = ()
    """The functions and objects that it is made of: by them the project is found."""
    style: CopyStyle = "loaded_modules"
    interactive: bool = False
    """Whether what was typed into the session belongs to it."""
    without: Callable[[], Iterable[Path]] = tuple[Path, ...]
    """Gives folders that are not code, as that of the results."""
    _made: "Bundle | None" = field(default=None, init=False)
    _version: str | None = field(default=None, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    @property
    def version(self) -> str:
        """Hash of the content of the bundle; "" where there is nothing to bundle.

        Raises:
            BundleError: the bundle can't be made.
        """
        with self._lock:
            if self._version is None:
                self._version = self._find_version()
            return self._version

    def bundle(self) -> "Bundle":
        """Return the bundle, the same one each time.

        Raises:
            BundleError: it can't be made.
        """
        with self._lock:
            return self._bundle()

    def _bundle(self) -> "Bundle":
        if self._made is None:
            self._made = self._make()
            self._version = self._made.manifest.content
        return self._made

    def _find_version(self) -> str:
        own = self._own_files()
        if self.style == "none" or not (self.interactive or own):
            return ""
        if self.style == "all" or self.interactive:
            return self._bundle().manifest.content
        root, began = root_of(min(own)), monotonic()
        files = loaded_files(root, own)
        version = recent.get(root, files)
        if version is None:
            version = make_manifest(self.style, self.target, files).content
            recent.put(root, files, version, began)
        return version

    def _make(self) -> "Bundle":
        beside = self._own_files()
        root = root_of(min(beside, default=None))
        typed = typed_code() if self.interactive else None
        if not beside and typed is None:
            raise BundleError(
                f"{self.target!r} was typed in and stands in no file; interactive_mode=True "
                "bundles what was typed"
            )
        files = self._files(root, beside)
        return Bundle(make_manifest(self.style, self.target, files, typed), files, typed, root)

    def _own_files(self) -> list[str]:
        return [file for body in self.bodies if (file := file_of(body)) is not None]

    def _files(self, root: Path, beside: Iterable[str]) -> dict[str, str]:
        if self.style == "loaded_modules":
            return loaded_files(root, beside)
        try:
            return all_files(root, self.without())
        except OSError as error:
            raise BundleError(f"{error.filename} can't be read for the bundle: {error}") from error


@define(eq=False)
class Bundle:
    """One bundle: what is in it, and from where."""

    manifest: Manifest
    files: Mapping[str, str]
    typed: bytes | None
    root: Path

    def write(self, out: IO[bytes]) -> None:
        """Write it as tar.gz.

        Raises:
            BundleError: a file was changed meanwhile.
            OSError: a file can't be read, or `out` not written.
        """
        from ._archive import write_archive  # here, for most runs never need it

        write_archive(out, self.manifest, self.files, self.typed)
