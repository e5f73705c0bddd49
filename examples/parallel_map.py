"""Find files with equal contents under a folder, hashing on all CPUs.

    python examples/parallel_map.py FOLDER
    trouper run examples/parallel_map.py --override folder=FOLDER

Prints each set of equal files and how many bytes the copies take. Configuration: `folder` (default:
the current one).

Rule 1: only what can be equal is read: files of a size that occurs twice.
Rule 2: memory is bounded by the number of files, not by their size.
Rule 3: a file that can't be read is told and left out; it stops nothing.
"""

import argparse
import hashlib
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

import trouper

CHUNK = 1 << 20
"""Bytes that are read at once."""

wf = trouper.Workflow("equal-files")


class File(msgspec.Struct, frozen=True):
    """One regular file."""

    path: str
    size: int
    """Bytes."""


class Hashed(msgspec.Struct, frozen=True):
    """What became of one file."""

    file: File
    digest: bytes = b""
    problem: str = ""
    """Why it could not be read."""


class Report(msgspec.Struct, frozen=True):
    """What was found."""

    equal: list[list[str]]
    """Paths of equal files, by set; largest files first."""
    spare: int
    """Bytes that all copies but one of each set take."""
    problems: list[str]


@wf.task
def candidates(ctx: trouper.TaskContext[None, None, None]) -> list[File]:
    """List the files of every size that occurs more than once; in a thread, disks are slow."""
    folder = str(ctx.config.get("folder", "."))
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"folder={folder!r} is no folder; name one to look through")
    by_size: dict[int, list[File]] = defaultdict(list)
    for file in _files(folder):
        by_size[file.size].append(file)
    return [file for files in by_size.values() if len(files) > 1 for file in files]


def _files(folder: str) -> Iterator[File]:
    """Yield regular files; links are not followed, an empty file is equal to nothing."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(where, name)
            if os.path.isfile(path) and not os.path.islink(path) and (size := _size(path)):
                yield File(path, size)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # it has gone meanwhile
        return 0


# In processes: threads would take turns wherever Python itself is at work.
@wf.map(over=candidates, concurrency=os.cpu_count() or 1, ordered=False, executor="process")
def digest(file: File) -> Hashed:
    """Hash one file, in constant memory."""
    found = hashlib.blake2b(digest_size=20)
    try:
        with open(file.path, "rb") as stream:
            while chunk := stream.read(CHUNK):
                found.update(chunk)
    except OSError as problem:
        return Hashed(file, problem=f"{file.path}: {problem.strerror}")
    return Hashed(file, found.digest())


@wf.task(depends_on=[digest])
def report(hashed: list[Hashed]) -> Report:
    """Print what was found."""
    groups: dict[tuple[int, bytes], list[str]] = defaultdict(list)
    for each in hashed:
        if not each.problem:
            groups[each.file.size, each.digest].append(each.file.path)
    equal = {key: sorted(paths) for key, paths in sorted(groups.items()) if len(paths) > 1}
    found = Report(
        equal=list(reversed(equal.values())),
        spare=sum(size * (len(paths) - 1) for (size, _), paths in equal.items()),
        problems=sorted(each.problem for each in hashed if each.problem),
    )
    print("\n".join(_lines(found)), flush=True)
    return found


def _lines(found: Report) -> Iterable[str]:
    for paths in found.equal:
        yield "equal:"
        # A file name may hold anything, line ends and escape sequences too.
        yield from (f"  {path if path.isprintable() else ascii(path)}" for path in paths)
    yield from (f"unread: {problem}" for problem in found.problems)
    yield f"{len(found.equal)} sets of equal files; copies take {found.spare:,} bytes"


# -- without the command line tool -------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description="Find files with equal contents.")
    parser.add_argument("folder", nargs="?", default=".")
    config: dict[str, Any] = vars(parser.parse_args())
    result = trouper.run(wf, config=config)
    if not result.ok:
        print(f"parallel_map: {result.error or result.reason}", file=sys.stderr)
        return 130 if result.interrupted else 1
    return 0


if __name__ == "__main__":  # worker processes import this file too
    sys.exit(main())
