"""`run.json` in the folder of a run: all that is recorded of it, for people and for a move.

The file is replaced whole, so nobody sees half of it: when an execution begins and when it ends.
What tasks set as results in between stands in `results.jsonl`, a line each, until then. Of two
values of one name the later one counts: `run.json` says how much of that file it knows.
"""

import errno
import os
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from ..assets._append import end_of_lines, make_folder, write_all
from ..assets._errors import ManifestDamaged
from ..store._actions import lines_of
from ..store._connections import FILE_MODE
from ..store._database import Database
from ..store._errors import NotTheSame, StoreError, StoreFull, StoreReadOnly
from ..store._records import RunKey, execution_id
from ..store._run_copies import ExecutionCopy, ResultCopy, RunCopy, copy_in, is_known
from ..store._store import Store
from ._actions_file import MOST_ACTIONS, name_of_actions
from ._plain_values import as_json, from_json

NAME = "run.json"
RESULTS = "results.jsonl"
VERSION = 1
"""Of the file's form."""


class _Execution(ExecutionCopy, frozen=True, kw_only=True):
    id: str
    inputs: Any = None
    """As JSON here."""
    outputs: Any = None


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds: of a run, and of its last execution what people look for first."""

    trouper: Literal["run"] = "run"
    version: int = VERSION
    project: str
    experiment: str
    experiment_params: dict[str, Any] | None
    name: str
    parameters: dict[str, Any] | None
    created: float
    phase: str
    target: str
    kind: str
    labels: dict[str, str]
    annotations: dict[str, str]
    results: dict[str, Any]
    results_set_at: dict[str, float]
    results_known: int
    """Bytes of `results.jsonl` that are in `results`."""
    executions: list[_Execution]


class _Head(msgspec.Struct, frozen=True):
    trouper: Literal["run"]
    version: int


class _Line(msgspec.Struct, frozen=True):
    """A line of `results.jsonl`."""

    key: str
    value: Any
    at: float


class Over(NamedTuple):
    """An execution that has ended."""

    execution: int
    """Id of its row."""
    number: int
    has_actions: bool = False
    """Whether the file of its actions, if there are many, is there already."""


class Told(NamedTuple):
    """What the files of a run are to hold."""

    copy: RunCopy
    ended: Over | None
    actions: bytes | None
    """Lines of the actions of what has ended, if they stand in a file of their own."""


_decode_results = msgspec.json.Decoder(_Line).decode_lines


class ResultsFile:
    """`results.jsonl` of a run that goes on: its process alone appends. Any thread may."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESULTS
        self._guard = threading.Lock()
        self._descriptor = -1
        self._size = 0
        self._pid = os.getpid()

    def append(self, key: str, packed: bytes, at: float) -> None:
        """Write a result that the database has. It survives `kill -9` when this returns.

        Raises:
            StoreError: it can't be written.
        """
        line = msgspec.json.encode(_Line(key, as_json(packed), at)) + b"\n"
        if self._pid != os.getpid():  # forked: the lock may be held, and the file is the parent's
            self._guard, self._descriptor, self._pid = threading.Lock(), -1, os.getpid()
        with self._guard:
            try:
                self._write(line)
            except OSError as error:
                raise refused(self._path, error) from error

    def _write(self, line: bytes) -> None:
        if self._descriptor < 0:
            make_folder(self._path.parent)
            flags = os.O_CREAT | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, FILE_MODE)
            size = os.fstat(self._descriptor).st_size
            self._size = end_of_lines(self._descriptor, size)
            os.ftruncate(self._descriptor, self._size)  # what a killed process left half-written
        try:
            write_all(self._descriptor, line)
        except OSError:  # the disk is full: no half of a line stays
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)

    def known(self) -> int:
        """Return how many bytes of whole lines there are, all of which the database has."""
        with self._guard:
            if self._descriptor >= 0:
                return self._size
            return (_text(self._path) or b"").rfind(b"\n") + 1

    def close(self) -> None:
        """Let the file go; the next line opens it again."""
        with self._guard:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


# -- writing --------------------------------------------------------------------------------------


def tell_run(
    store: Store, key: RunKey, folder: Path, *, known: int = 0, ended: Over | None = None
) -> None:
    """Write what the database has of a run into its folder, which is made if it is not there.

    Args:
        known: bytes of `results.jsonl` that the database has.
        ended: the execution that has ended just now, whose actions are written too.

    Raises:
        StoreError: it can't be written; what was there is as it was.
    """
    with store.connections.reading() as db:
        told = told_in(db, key, ended)
    write_told(folder, told, known=known)


def told_in(db: Database, key: RunKey, ended: Over | None = None) -> Told | None:
    """Return what the files of a run are to hold, as it stands in a transaction."""
    copy = copy_in(db, key)
    if copy is None:  # it has fallen out
        return None
    lines: bytes | None = None
    if ended is not None and not ended.has_actions:
        same = (each for each in copy.executions if each.number == ended.number)
        if next((each.actions for each in same), None) is None:
            lines = lines_of(db, ended.execution, most=MOST_ACTIONS)
    return Told(copy, ended, lines)


def write_told(folder: Path, told: Told | None, *, known: int = 0) -> None:
    """Write it; `known` and errors: as of `tell_run`."""
    if told is None:
        return
    place, ended = str(folder), told.ended
    if ended is not None and told.actions is not None:
        _replace(place, name_of_actions(ended.number), told.actions)
    if ended is not None and ended.number != told.copy.executions[-1].number:
        return  # another process has begun the run anew, and tells of it
    _replace(place, NAME, msgspec.json.format(_encode(told.copy, known), indent=2) + b"\n")
    if ended is not None:  # nobody adds to it any more
        with suppress(FileNotFoundError):
            os.unlink(f"{place}/{RESULTS}")


def _encode(copy: RunCopy, known: int) -> bytes:
    key, last = copy.key, copy.executions[-1]
    return msgspec.json.encode(
        _File(
            project=key.project,
            experiment=key.experiment,
            experiment_params=copy.experiment_params,
            name=key.name,
            parameters=copy.parameters,
            created=copy.created,
            phase=last.phase,
            target=last.target,
            kind=last.kind,
            labels=last.labels,
            annotations=last.annotations,
            results={name: as_json(each.value) for name, each in copy.results.items()},
            results_set_at={name: each.at for name, each in copy.results.items()},
            results_known=known,
            executions=[_as_file(key.name, each) for each in copy.executions],
        )
    )


def _as_file(run: str, copy: ExecutionCopy) -> _Execution:
    columns: dict[str, Any] = msgspec.structs.asdict(copy)
    for name in ("inputs", "outputs"):
        columns[name] = as_json(columns[name])
    return _Execution(id=execution_id(run, copy.number), **columns)


def _replace(folder: str, name: str, text: bytes) -> None:
    path = f"{folder}/{name}"
    fresh = f"{folder}/.{name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        try:
            descriptor = _made(fresh)
        except (FileNotFoundError, NotADirectoryError):
            make_folder(Path(folder))
            descriptor = _made(fresh)
        try:
            try:
                write_all(descriptor, text)
            finally:
                os.close(descriptor)
            os.replace(fresh, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(fresh)
            raise
    except OSError as error:
        raise refused(path, error) from error


def _made(path: str) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE)


def refused(path: Path | str, error: OSError) -> StoreError:
    """Return our error for one of the system's."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(
            f"{str(path)!r} can't be written: {error.strerror}; free some space there. What was "
            "written before is kept"
        )
    return StoreReadOnly(
        f"{str(path)!r} can't be written: {error.strerror}; check the rights there, or choose "
        "another workspace with TROUPER_HOME"
    )


def refuse_unknown(store: Store, key: RunKey, folder: Path) -> None:
    """Refuse to begin a run where the record of another one lies, which came from elsewhere.

    Raises:
        NotTheSame: it does.
    """
    # Path's own raises where a folder may not be searched; and of most runs there is none yet.
    if os.path.exists(folder / NAME) and not is_known(store.connections, key):
        raise NotTheSame(
            f"{str(folder)!r} holds a run that the database does not know: `trouper ws rebuild`, "
            "or workspace.catalog.rebuild(), takes it in; or choose another name"
        )


# -- reading --------------------------------------------------------------------------------------


def read_run(folder: Path) -> RunCopy | None:
    """Return what the files in a run's folder tell; None: there is no `run.json`.

    Raises:
        ManifestDamaged: they can't be read, are none of ours, or a newer trouper wrote them.
    """
    path = folder / NAME
    text = _text(path)
    if text is None:
        return None
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.version > VERSION:
            raise ManifestDamaged(
                f"{str(path)!r} has version {head.version}, and this trouper knows {VERSION}: a "
                "newer one has written it. Upgrade trouper"
            )
        file = msgspec.json.decode(text, type=_File)
        results = {
            name: ResultCopy(value=_packed(value), at=file.results_set_at[name])
            for name, value in file.results.items()
        }
        executions = [_as_copy(each) for each in file.executions]
    except (ValueError, KeyError, RecursionError) as error:
        raise ManifestDamaged(
            f"{str(path)!r} is no record of a run ({error}); put back what was there, or move the "
            "file away"
        ) from error
    results.update(_results_behind(folder / RESULTS, file.results_known))
    return RunCopy(
        key=RunKey(file.name, file.project, file.experiment),
        experiment_params=file.experiment_params,
        parameters=file.parameters,
        created=file.created,
        executions=executions,
        results=results,
    )


def _as_copy(file: _Execution) -> ExecutionCopy:
    columns: dict[str, Any] = msgspec.structs.asdict(file)
    del columns["id"]
    for name in ("inputs", "outputs"):
        columns[name] = from_json(columns[name])
    return ExecutionCopy(**columns)


def _packed(value: Any) -> bytes:
    packed = from_json(value)
    if packed is None:
        raise ValueError("a result is null")
    return packed


def _results_behind(path: Path, known: int) -> Sequence[tuple[str, ResultCopy]]:
    text = _text(path) or b""
    try:
        # What is behind the last newline was being written when its process was killed.
        lines = _decode_results(text[known : text.rfind(b"\n") + 1])
        return [(each.key, ResultCopy(value=_packed(each.value), at=each.at)) for each in lines]
    except ValueError as error:
        raise ManifestDamaged(
            f"{str(path)!r} holds a line that is no result ({error}); take the line out"
        ) from error


def _text(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ManifestDamaged(
            f"{str(path)!r} can't be read: {error.strerror}; check the rights there"
        ) from error
