"""`trouper logs`: what a run has logged, or one of its logs, also while it goes on."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from .._cli_problem import Problem
from .._cli_text import plain, plain_lines
from .._names import suggest
from ..assets._catalog import Catalog
from ..assets._logs import LogReader
from ..assets._names import place_of
from ..assets._records import LogAsset
from ..assets._shelf import FOLDERS
from ..logs._file import NAME, OLDER
from ..logs._line import read_line
from ..store._asset_rows import AssetQuery
from ..store._records import RunRecord
from ..workspace._names import key_of_run
from ..workspace._workspace import Workspace
from ._places import find_run, opened_catalog, opened_workspace

POLL = 0.25
"""Seconds between two looks at a run that is followed."""


def log_lines(
    run: str, name: str | None, root: str | None, *, tail: int, follow: bool, as_json: bool
) -> Iterator[str]:
    """Yield lines: without a name, what the run's code has logged; else a log of `ctx.log(name)`.

    Args:
        tail: the last so many; 0: all.
        follow: go on with those that come, until the run has ended.
        as_json: each line is a JSON object.

    Raises:
        Problem: there is no such run or log.
    """
    with opened_workspace(root) as workspace:
        record = find_run(workspace, run)
        folder = run_folder(record)
        older: Iterable[str] = ()
        if name is None:
            path = workspace.path / folder / "logs" / NAME
            older = LogReader(str(path.with_name(OLDER))).read()
            show = _json_record if as_json else _text_record
        else:
            path = _path_of(workspace, folder, name, may_come=follow)
            show = partial(_json_line if as_json else _text_line, name)
        reader = LogReader(str(path))
        lines = chain(older, reader.read())
        is_empty = True
        for line in deque(lines, maxlen=tail) if tail else lines:
            is_empty = False
            yield from show(line)
        if follow:
            yield from _followed(workspace, record, reader, show)
        elif is_empty and not as_json:
            yield from _nothing(workspace, folder, name)


Show = Callable[[str], Iterable[str]]


def run_folder(run: RunRecord) -> str:
    """Return where a run lies, relative to the workspace."""
    return key_of_run(run.key)


def _followed(
    workspace: Workspace, record: RunRecord, reader: LogReader, show: Show
) -> Iterator[str]:
    """Yield what comes, until nothing more can."""
    while True:
        # Asked before the file is read: what was written until then belongs to it.
        is_over = find_run(workspace, str(record.key)).phase != "running"
        for line in reader.read():
            yield from show(line)
        if is_over:
            return
        time.sleep(POLL)


def _text_record(line: str) -> Iterable[str]:
    found = read_line(line)
    # As text it is harmless already. A line that was torn by a full disk is left out.
    return () if found is None else found.as_text().split("\n")


def _json_record(line: str) -> Iterable[str]:
    # Written anew in pure ASCII, for it may hold what turns a terminal's line round.
    return () if read_line(line) is None else [json.dumps(json.loads(line))]


def _text_line(_name: str, line: str) -> Iterable[str]:
    return plain_lines(line)


def _json_line(name: str, line: str) -> Iterable[str]:
    return [json.dumps({"log": name, "line": line})]


def _logs_of(workspace: Workspace, folder: str) -> dict[str, LogAsset]:
    with opened_catalog(workspace) as store:
        catalog = Catalog(store)
        catalog.catch_up()
        found = catalog.select(AssetQuery(kinds=("log",), scope=folder))
    return {each.name: each for each in found}


def _path_of(workspace: Workspace, folder: str, name: str, *, may_come: bool) -> Path:
    """Return the file of a log; of one that may still come, where it will be."""
    logs = _logs_of(workspace, folder)
    if name in logs:
        return logs[name].path
    if may_come:
        return workspace.path / folder / place_of(FOLDERS["log"], name, 1, ".log")
    raise Problem(f"the run has no log {plain(name)!r};{plain(suggest(name, logs))}")


def _nothing(workspace: Workspace, folder: str, name: str | None) -> Iterator[str]:
    logs = _logs_of(workspace, folder) if name is None else {}
    if name is None:
        more = f"; its logs by name: {', '.join(map(plain, logs))}" if logs else ""
        yield f"nothing was logged{more}"
