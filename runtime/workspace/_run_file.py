"""`run.json` in the folder of a run: what the database has of it, for people and for a move.

The database stays the truth. The file is replaced whole, so nobody sees half of it.
"""

import errno
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..assets._append import make_folder
from ..store._errors import StoreError, StoreFull, StoreReadOnly
from ..store._records import RunKey, RunRecord

if TYPE_CHECKING:
    from ._workspace import Workspace

NAME = "run.json"
VERSION = 1
"""Of the file's form."""


def write_run_file(
    folder: Path, executions: Sequence[RunRecord], results: Mapping[str, Any]
) -> None:
    """Write what is recorded of a run; makes the folder if it is not there.

    Args:
        executions: all of them, the first one first; there is one at least.

    Raises:
        StoreError: it can't be written; what was there is as it was.
    """
    text = msgspec.json.format(run_as_json(executions, results), indent=2)
    path = folder / NAME
    fresh = folder / f".{NAME}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        make_folder(folder)
        try:
            descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text + b"\n")
            os.replace(fresh, path)
        except BaseException:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _refused(path, error) from error


def tell_run(workspace: "Workspace", key: RunKey, folder: Path) -> None:
    """Write what the database has of a run into its folder.

    Raises:
        StoreError: as of `write_run_file`.
    """
    with workspace.reading() as store:
        assert store is not None
        executions = store.runs.executions(key)
        results = store.results.all(executions[-1].run)
    write_run_file(folder, executions, results)


def run_as_json(executions: Sequence[RunRecord], results: Mapping[str, Any]) -> bytes:
    """Return what the file holds."""
    last = executions[-1]
    told = {
        "version": VERSION,
        "project": last.project,
        "experiment": last.experiment,
        "experiment_params": last.experiment_params,
        "name": last.name,
        "parameters": last.parameters,
        "created": last.created,
        "phase": last.phase,
        "target": last.target,
        "kind": last.kind,
        "labels": last.labels,
        "annotations": last.annotations,
        "results": results,
        "executions": [_execution(each) for each in executions],
    }
    return msgspec.json.encode(told)


def _execution(record: RunRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "number": record.number,
        "phase": record.phase,
        "started": record.started,
        "ended": record.ended,
        "profile": record.profile,
        "config": record.config,
        "config_hash": record.config_hash,
        "version": record.version,
        "host": record.host.partition("/")[0],
        "pid": record.pid,
        "error_code": record.error_code,
        "error": record.error,
    }


def _refused(path: Path, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(
            f"{str(path)!r} can't be written: {error.strerror}; free some space there. What was "
            "written before is kept"
        )
    return StoreReadOnly(
        f"{str(path)!r} can't be written: {error.strerror}; check the rights there, or choose "
        "another workspace with TROUPER_HOME"
    )
