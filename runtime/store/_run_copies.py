"""A run as a file can hold it: all that is recorded of it, and how that is taken into a database.

Rule 1: nothing is lost on the way: a copy that was taken in gives an equal copy.
Rule 2: executions are known by their tokens. What a database knows already stays as it is, unless
it knows no end, or only that the process was lost, and the copy tells the end.
Rule 3: a copy of another run, by the same name, changes nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from attrs import frozen

from ._actions import few_actions, put
from ._connections import Connections
from ._database import Database
from ._errors import NotTheSame
from ._owner import Owner, liveness
from ._records import LOST, ActionRecord, Phase, RunKey

MOVED = "moved_from"
"""The annotation that says which run this was, where it has another name now."""


class ExecutionCopy(msgspec.Struct, frozen=True, kw_only=True):
    """One execution: the columns of its row."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    token: str
    phase: Phase
    target: str
    kind: str
    mode: str
    version: str
    domain: str | None
    org: str | None
    queue: str | None
    labels: dict[str, str]
    annotations: dict[str, str]
    params: dict[str, Any]
    profile: str | None
    config: dict[str, Any]
    config_hash: str
    inputs: bytes | None
    outputs: bytes | None
    host: str
    pid: int
    born: str
    started: float
    heartbeat: float
    ended: float | None
    error_code: str | None
    error: str | None
    trace: str | None
    abort_requested: float | None
    actions_left_out: int
    actions: Sequence[ActionRecord] | None = None
    """None: there are so many that they stand elsewhere."""


class ResultCopy(msgspec.Struct, frozen=True, kw_only=True):
    """One value of the result map."""

    value: bytes
    """MessagePack."""
    at: float


class RunCopy(msgspec.Struct, frozen=True, kw_only=True):
    """A run, its experiment's parameters, its executions, oldest first, and its results."""

    key: RunKey
    experiment_params: dict[str, Any] | None
    parameters: dict[str, Any] | None
    created: float
    executions: Sequence[ExecutionCopy]
    results: Mapping[str, ResultCopy]


_COLUMNS = ExecutionCopy.__struct_fields__[:-1]
_COPY = (
    f"SELECT {', '.join(f'execution.{name}' for name in _COLUMNS)}, execution.id, "
    "run.id, run.parameters, run.created, experiment.params FROM run "
    "JOIN experiment ON experiment.project = run.project AND experiment.name = run.experiment "
    "JOIN execution ON execution.run = run.id "
    "WHERE run.project = ? AND run.experiment = ? AND run.name = ? ORDER BY execution.number"
)
FEW_ACTIONS = 100
"""At most so many actions of an execution stand in its copy."""
_JSON = ("labels", "annotations", "params", "config")
_OF_END = ("phase", "outputs", "heartbeat", "ended", "error_code", "error", "trace")
_Known = Mapping[str, tuple[int, float | None, str | None]]
"""Token -> id, when it ended, and the code of its error."""


def copy_in(db: Database, key: RunKey) -> RunCopy | None:
    """Return all that is recorded of a run but many actions; None: there is no such run."""
    rows = db.execute(_COPY, (key.project, key.experiment, key.name)).fetchall()
    if not rows:
        return None
    run, parameters, created, params = rows[0][-4:]
    results = db.execute(
        "SELECT key, value, set_at FROM result WHERE run = ? ORDER BY key", (run,)
    ).fetchall()
    return RunCopy(
        key=key,
        experiment_params=_decoded(params),
        parameters=_decoded(parameters),
        created=created,
        executions=[_execution(row, few_actions(db, row[-5], FEW_ACTIONS)) for row in rows],
        results={name: ResultCopy(value=value, at=at) for name, value, at in results},
    )


def is_known(connections: Connections, key: RunKey) -> bool:
    """Return whether a run is recorded."""
    with connections.reading() as db:
        return _id_of(db, key) is not None


def _decoded(text: str | None) -> dict[str, Any] | None:
    return None if text is None else msgspec.json.decode(text)


def _execution(row: Sequence[Any], actions: Sequence[ActionRecord] | None) -> ExecutionCopy:
    data = dict(zip(_COLUMNS, row, strict=False))
    data.update((name, msgspec.json.decode(data[name])) for name in _JSON)
    return ExecutionCopy(**data, actions=actions)


# -- taking in ------------------------------------------------------------------------------------


@frozen(kw_only=True)
class TakenIn:
    """A copy, and what has to be known to take it in."""

    copy: RunCopy
    key: RunKey
    """What it is called here."""
    actions: Callable[[int], Sequence[ActionRecord]]
    """Number of an execution -> its actions, if they stand elsewhere; none: in the copy."""
    is_there: Callable[[], bool]
    """Called in the transaction: whether it has not been removed meanwhile."""
    first_id: int = 1
    """Of the row of a new run, at least."""
    dry: bool = False
    """Only say whether there is something to take in."""


def take_in(connections: Connections, given: TakenIn, now: float | None = None) -> bool:
    """Record what a copy tells and the database does not know; return whether there was any.

    Raises:
        NotTheSame: the database has another run by this name.
        StoreError: it can't be written; nothing of it was.
    """
    now = time.time() if now is None else now
    with connections.reading() as db:
        changes = _changes(db, given, now)
    if given.dry or not changes:
        return changes
    with connections.writing() as db:
        if not given.is_there() or not _changes(db, given, now):
            return False
        run = _run(db, given)
        known = _known(db, run)
        last = 0
        for each in _named(given):
            found = known.get(each.token)
            last = _add(db, run, each, given) if found is None else found[0]
            if found is not None and _tells_the_end(each, found):
                _end(db, each, last)
        _set_results(db, run, last, given.copy.results)
    return True


def _changes(db: Database, given: TakenIn, now: float) -> bool:
    """Return whether the copy tells what is not known.

    Raises:
        NotTheSame: as of `take_in`.
    """
    run = _id_of(db, given.key)
    if run is None:
        return bool(given.copy.executions)
    known, executions = _known(db, run), given.copy.executions
    fresh = [each for each in executions if each.token not in known]
    numbers = db.execute("SELECT max(number) FROM execution WHERE run = ?", (run,)).get or 0
    if known and (len(fresh) == len(executions) or any(each.number <= numbers for each in fresh)):
        raise NotTheSame(
            f"there is another run {str(given.key)!r} already, begun by others at other times; "
            "neither was changed: give the folder another name and rebuild the catalog again"
        )
    if fresh or any(_tells_the_end(each, known[each.token]) for each in executions):
        return True
    return _is_over(db, run, now) and _has_new_results(db, run, given.copy.results)


def _id_of(db: Database, key: RunKey) -> int | None:
    found = db.execute(
        "SELECT id FROM run WHERE project = ? AND experiment = ? AND name = ?",
        (key.project, key.experiment, key.name),
    ).fetchone()
    return None if found is None else int(found[0])


def _known(db: Database, run: int) -> _Known:
    sql = "SELECT token, id, ended, error_code FROM execution WHERE run = ?"
    return {token: (id, ended, code) for token, id, ended, code in db.execute(sql, (run,))}


def _tells_the_end(copy: ExecutionCopy, found: tuple[int, float | None, str | None]) -> bool:
    _, ended, code = found
    is_open = ended is None or code == LOST
    return is_open and copy.ended is not None and copy.error_code != LOST


def _is_over(db: Database, run: int, now: float) -> bool:
    """Return whether nobody sets results of the run any more: who does has told the database."""
    rows = db.execute(
        "SELECT host, pid, born, heartbeat FROM execution WHERE run = ? AND ended IS NULL", (run,)
    )
    return all(
        liveness(Owner(host, pid, born), heartbeat, now) == "dead"
        for host, pid, born, heartbeat in rows.fetchall()
    )


def _has_new_results(db: Database, run: int, results: Mapping[str, ResultCopy]) -> bool:
    known = dict(db.execute("SELECT key, set_at FROM result WHERE run = ?", (run,)).fetchall())
    return any(name not in known or each.at > known[name] for name, each in results.items())


def _run(db: Database, given: TakenIn) -> int:
    """Return the id of the run's row, which is made if it is not there."""
    key, copy = given.key, given.copy
    found = _id_of(db, key)
    if found is not None:
        return found
    params = _packed(copy.experiment_params)
    db.execute(
        "INSERT INTO experiment (project, name, params, created) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET params = coalesce(params, excluded.params)",
        (key.project, key.experiment, params, copy.created),
    )
    last = db.execute("SELECT max(id) FROM run").get or 0
    db.execute(
        "INSERT INTO run (id, project, experiment, name, parameters, created) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            *(max(last + 1, given.first_id), key.project, key.experiment, key.name),
            *(_packed(copy.parameters), copy.created),
        ),
    )
    return db.last_insert_rowid()


def _packed(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _named(given: TakenIn) -> Sequence[ExecutionCopy]:
    """Return the executions; those of a run that was called otherwise say how."""
    if given.key == given.copy.key:
        return given.copy.executions
    was = {MOVED: str(given.copy.key)}
    return [
        msgspec.structs.replace(each, annotations={**was, **each.annotations})
        for each in given.copy.executions
    ]


def _add(db: Database, run: int, copy: ExecutionCopy, given: TakenIn) -> int:
    values = [getattr(copy, name) for name in _COLUMNS]
    packed = [
        _packed(value) if name in _JSON else value
        for name, value in zip(_COLUMNS, values, strict=True)
    ]
    db.execute(
        f"INSERT INTO execution (run, {', '.join(_COLUMNS)}) "
        f"VALUES (?, {', '.join('?' * len(_COLUMNS))})",
        (run, *packed),
    )
    execution = db.last_insert_rowid()
    # Of an execution that was killed the copy may be older than the file.
    _add_actions(db, execution, given.actions(copy.number) or copy.actions or ())
    return execution


def _end(db: Database, copy: ExecutionCopy, execution: int) -> None:
    db.execute(
        f"UPDATE execution SET {', '.join(f'{name} = ?' for name in _OF_END)} WHERE id = ?",
        (*(getattr(copy, name) for name in _OF_END), execution),
    )


def _add_actions(db: Database, execution: int, actions: Sequence[ActionRecord]) -> None:
    put(db, [msgspec.structs.replace(each, execution=execution) for each in actions])


def _set_results(db: Database, run: int, execution: int, results: Mapping[str, ResultCopy]) -> None:
    db.executemany(
        "INSERT INTO result (run, key, value, execution, set_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (run, key) DO UPDATE SET value = excluded.value, "
        "execution = excluded.execution, set_at = excluded.set_at "
        "WHERE excluded.set_at > set_at",
        [(run, name, each.value, execution, each.at) for name, each in results.items()],
    )


# -- forgetting -----------------------------------------------------------------------------------


def executions_in(connections: Connections) -> frozenset[int]:
    """Return the ids of all executions."""
    with connections.reading() as db:
        return frozenset(id for (id,) in db.execute("SELECT id FROM execution").fetchall())


def runs_that_ended(connections: Connections) -> Sequence[RunKey]:
    """Return the runs whose last execution has told its end.

    One whose process was lost may have been killed before it could write a file.
    """
    with connections.reading() as db:
        rows = db.execute(
            f"SELECT name, project, experiment FROM run WHERE {_HAS_ENDED} ORDER BY id", (LOST,)
        )
        return [RunKey(*names) for names in rows.fetchall()]


_HAS_ENDED = (
    "NOT EXISTS (SELECT 1 FROM execution WHERE run = run.id AND ended IS NULL) "
    "AND (SELECT error_code FROM execution WHERE run = run.id ORDER BY number DESC LIMIT 1) "
    "IS NOT ?"
)


def forget(connections: Connections, key: RunKey, is_gone: Callable[[], bool]) -> bool:
    """Forget a run whose folder is not there any more; return whether it was forgotten."""
    with connections.writing() as db:
        run = _id_of(db, key)
        if run is None or not is_gone():
            return False
        db.execute(f"DELETE FROM run WHERE id = ? AND {_HAS_ENDED}", (run, LOST))
        is_forgotten = bool(db.changes())
        db.execute(
            "DELETE FROM experiment WHERE project = ?1 AND name = ?2 AND NOT EXISTS "
            "(SELECT 1 FROM run WHERE project = ?1 AND experiment = ?2)",
            (key.project, key.experiment),
        )
    return is_forgotten
