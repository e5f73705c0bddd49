"""Run records: who holds a name, and what became of each execution.

Rule 1: a name is claimed in one transaction; of several who want it at once, one gets it.
Rule 2: a live run is never claimed again. One that has ended gets a new execution.
Rule 3: only the holder of the token records the end, and only once.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from attrs import define, field

from ._actions import storable
from ._connections import Connections
from ._database import Database
from ._errors import ClaimLost, NoSuchRun, RunNameTaken
from ._limits import Limits
from ._owner import SILENCE, Owner, liveness, this_process
from ._records import LOST, Claim, Ended, NewRun, Phase, RunRecord

_LATEST = "(SELECT max(number) FROM execution WHERE run = run.id)"
_COLUMNS = (
    "run.name, run.id, execution.id, number, phase, target, kind, mode, version, project, domain, "
    "org, queue, labels, annotations, params, profile, config, config_hash, host, pid, "
    "run.created, started, ended, error_code, error, abort_requested, actions_left_out, token, "
    "inputs, outputs, born, heartbeat"
)
_FROM = "FROM execution JOIN run ON run.id = execution.run"


@define(eq=False, kw_only=True)
class Runs:
    """The tables `run` and `execution`."""

    _connections: Connections = field(alias="connections")
    _limits: Limits = field(alias="limits")
    _clock: Callable[[], float] = field(default=time.time, alias="clock")

    def claim(self, new: NewRun) -> Claim:
        """Take the name for this process, and record that its run begins.

        Raises:
            RunNameTaken: a run of this name is alive, or on another host and silent for too short.
        """
        now, me, token = self._clock(), this_process(), secrets.token_hex(16)
        with self._connections.writing() as db:
            run, number = self._take(db, new.name, now)
            values = (*_start_values(new), me.host, me.pid, me.born, now, now)
            names = ", ".join(_START_COLUMNS)
            db.execute(
                f"INSERT INTO execution (run, number, token, phase, {names}) "
                f"VALUES (?, ?, ?, 'running', {', '.join('?' * len(values))})",
                (run, number, token, *values),
            )
            execution = db.last_insert_rowid()
            self._let_fall_out(db, execution - self._limits.executions, now)
        return Claim(name=new.name, run=run, execution=execution, number=number, token=token)

    def _take(self, db: Database, name: str, now: float) -> tuple[int, int]:
        """Return the id of the run of this name, and the number of its next execution."""
        db.execute(
            "INSERT INTO run (name, created) VALUES (?, ?) ON CONFLICT DO NOTHING", (name, now)
        )
        run: int = db.execute("SELECT id FROM run WHERE name = ?", (name,)).get
        last = db.execute(
            "SELECT id, number, ended, host, pid, born, heartbeat, started FROM execution "
            "WHERE run = ? ORDER BY number DESC LIMIT 1",
            (run,),
        ).fetchone()
        if last is None:
            return run, 1
        execution, number, ended, host, pid, born, heartbeat, started = last
        if ended is None:
            owner = Owner(host, pid, born)
            self._refuse_unless_dead(name, owner, heartbeat, started, now)
            _mark_lost(db, execution, owner, heartbeat)
        return run, number + 1

    def _refuse_unless_dead(
        self, name: str, owner: Owner, heartbeat: float, started: float, now: float
    ) -> None:
        state = liveness(owner, heartbeat, now)
        if state == "dead":
            return
        where = f"process {owner.pid} on {owner.host.partition('/')[0]}"
        if state == "alive":
            raise RunNameTaken(
                f"a run named {name!r} goes on: {where}, for {max(0.0, now - started):.0f} s now; "
                "wait for its end, abort it, or choose another name"
            )
        raise RunNameTaken(
            f"a run named {name!r} may still go on: {where} was heard of "
            f"{now - heartbeat:.0f} s ago; after {SILENCE:.0f} s of silence the name is free. "
            "Wait, or choose another name"
        )

    def _let_fall_out(self, db: Database, last: int, now: float) -> None:
        """Remove executions up to the id `last` that have ended, or whose process is dead."""
        old = db.execute(
            "SELECT id, run, ended, host, pid, born, heartbeat FROM execution WHERE id <= ?",
            (last,),
        ).fetchall()
        for execution, run, ended, host, pid, born, heartbeat in old:
            if ended is None and liveness(Owner(host, pid, born), heartbeat, now) != "dead":
                continue
            db.execute("DELETE FROM execution WHERE id = ?", (execution,))
            db.execute(
                "DELETE FROM run WHERE id = ?1 AND NOT EXISTS "
                "(SELECT 1 FROM execution WHERE run = ?1)",
                (run,),
            )

    def finish(
        self,
        claim: Claim,
        phase: Ended,
        *,
        outputs: bytes | None = None,
        error_code: str | None = None,
        error: str | None = None,
    ) -> None:
        """Record how an execution ended. The name is free after that.

        Raises:
            ClaimLost: another process took this one for dead, or the end is recorded already.
        """
        with self._connections.writing() as db:
            db.execute(
                "UPDATE execution SET phase = ?, ended = ?, outputs = ?, error_code = ?, error = ? "
                "WHERE id = ? AND token = ? AND ended IS NULL",
                (phase, self._clock(), outputs, error_code, error, claim.execution, claim.token),
            )
            if not db.changes():
                raise lost_claim(db, claim)

    def beat(self, claim: Claim) -> bool:
        """Say that this execution lives; return whether its abort was asked for.

        Raises:
            ClaimLost: as of `finish`.
        """
        with self._connections.writing() as db:
            told = db.execute(
                "UPDATE execution SET heartbeat = ? WHERE id = ? AND token = ? AND ended IS NULL "
                "RETURNING abort_requested IS NOT NULL",
                (self._clock(), claim.execution, claim.token),
            ).fetchone()
            if told is None:
                raise lost_claim(db, claim)
        return bool(told[0])

    def request_abort(self, name: str) -> RunRecord:
        """Ask the process that holds the run to abort it; it hears of it with its next heartbeat.

        Nothing is asked of a run that has ended, or whose process is dead: the record says so.

        Raises:
            NoSuchRun: there is none of this name.
        """
        record = self.get(name)
        if record.phase == "running":
            with self._connections.writing() as db:
                db.execute(
                    "UPDATE execution SET abort_requested = coalesce(abort_requested, ?) "
                    "WHERE id = ? AND token = ? AND ended IS NULL",
                    (self._clock(), record.execution, record.token),
                )
        return self.get(name)

    def get(self, name: str) -> RunRecord:
        """Return the newest execution of a run.

        Raises:
            NoSuchRun: there is none of this name.
        """
        with self._connections.reading() as db:
            row = db.execute(
                f"SELECT {_COLUMNS} {_FROM} WHERE run.name = ? ORDER BY number DESC LIMIT 1",
                (name,),
            ).fetchone()
        if row is None:
            raise NoSuchRun(f"no run named {name!r} is recorded; `trouper runs` lists them")
        return _record(row, self._clock())

    def executions(self, name: str) -> Sequence[RunRecord]:
        """Return all executions of a run, the first one first; none if there is no such run."""
        with self._connections.reading() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} {_FROM} WHERE run.name = ? ORDER BY number", (name,)
            ).fetchall()
        return [_record(row, self._clock()) for row in rows]

    def query(
        self,
        *,
        project: str | None = None,
        domain: str | None = None,
        target: str | None = None,
        profile: str | None = None,
        phase: Phase | None = None,
        labels: Mapping[str, str] | None = None,
        limit: int | None = 100,
    ) -> Sequence[RunRecord]:
        """Return the runs that are as asked for, the newest first; each as its last execution.

        Args:
            labels: all of them have to be there.
            limit: at most so many; None: all.
        """
        wanted = {"project": project, "domain": domain, "target": target, "profile": profile}
        where = [f"number = {_LATEST}"]
        values: list[Any] = []
        for column, value in wanted.items():
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        if phase is not None:
            # One that is recorded as running may be lost, and so failed: that is seen below.
            where.append("phase IN (?, 'running')")
            values.append(phase)
        for key, value in (labels or {}).items():
            where.append("EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ? AND value = ?)")
            values += [key, value]
        sql = f"SELECT {_COLUMNS} {_FROM} WHERE {' AND '.join(where)} ORDER BY execution.id DESC"
        return self._matching(sql, values, phase, limit)

    def _matching(
        self, sql: str, values: Sequence[Any], phase: Phase | None, limit: int | None
    ) -> Sequence[RunRecord]:
        """Choose by phase once more: whether a run is lost stands in no column."""
        found: list[RunRecord] = []
        now = self._clock()
        with self._connections.reading() as db:
            for row in db.execute(sql, values):
                if limit is not None and len(found) >= limit:
                    break
                record = _record(row, now)
                if phase is None or record.phase == phase:
                    found.append(record)
        return found


_START_COLUMNS = (
    *("target", "kind", "mode", "version", "project", "domain", "org", "queue"),
    *("labels", "annotations", "params", "profile", "config", "config_hash", "inputs"),
    *("host", "pid", "born", "started", "heartbeat"),
)


def _start_values(new: NewRun) -> tuple[Any, ...]:
    """Return the values of `_START_COLUMNS` that come from the caller.

    Raises:
        TypeError: `params` or `config` hold what JSON can't, or text that is no Unicode.
    """
    try:
        return tuple(map(storable, _plain_values(new)))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"the parameters of the run {new.name!r} can't be recorded: {error}; make them dicts, "
            "lists and scalars, and text that UTF-8 can hold"
        ) from error


def _plain_values(new: NewRun) -> tuple[Any, ...]:
    return (
        *(new.target, new.kind, new.mode, new.version, new.project, new.domain, new.org, new.queue),
        *(_json(new.labels), _json(new.annotations), _json(new.params)),
        *(new.profile, _json(new.config), new.config_hash, new.inputs),
    )


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _mark_lost(db: Database, execution: int, owner: Owner, heartbeat: float) -> None:
    error = _lost_words(owner.pid, owner.host)
    db.execute(
        "UPDATE execution SET phase = 'failed', ended = ?, error_code = ?, error = ? WHERE id = ?",
        (heartbeat, LOST, error, execution),
    )
    db.execute(
        "UPDATE action SET phase = 'failed', ended = ?, error_code = ?, error = ? "
        "WHERE execution = ? AND ended IS NULL",
        (heartbeat, LOST, error, execution),
    )


def _lost_words(pid: int, host: str) -> str:
    return f"process {pid} on {host.partition('/')[0]} ended without saying how"


def lost_claim(db: Database, claim: Claim) -> ClaimLost:
    """Return the error for a claim that no longer holds, with what the record says instead."""
    told = db.execute("SELECT phase, error FROM execution WHERE id = ?", (claim.execution,))
    phase, error = told.fetchone() or ("no longer there", None)
    why = f" ({error})" if error else ""
    return ClaimLost(
        f"execution {claim.number} of the run {claim.name!r} is {phase}{why} in the record; "
        "nothing more is written for it. Start the run again"
    )


def _record(row: Sequence[Any], now: float) -> RunRecord:
    *values, born, heartbeat = row
    data = dict(zip(_FIELDS, values, strict=True))
    for key in ("labels", "annotations", "params", "config"):
        data[key] = msgspec.json.decode(data[key])
    owner = Owner(data["host"], data["pid"], born)
    is_dead = data["ended"] is None and liveness(owner, heartbeat, now) == "dead"
    if is_dead:
        data |= {"phase": "failed", "ended": heartbeat, "error_code": LOST}
        data["error"] = _lost_words(owner.pid, owner.host)
    return RunRecord(is_lost=data["error_code"] == LOST, **data)


_FIELDS = tuple(each for each in RunRecord.__struct_fields__ if each != "is_lost")
