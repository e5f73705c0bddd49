"""Run records: who holds a run, and what became of each execution.

Rule 1: a run is claimed in one transaction; of several who want it at once, one gets it.
Rule 2: a live run is never claimed again. One that has ended gets a new execution.
Rule 3: only the holder of the token records the end, and only once.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec
from attrs import define, field

from ...actors._secret import mask_text
from ._actions import storable
from ._claiming import let_fall_out, lost_claim, take
from ._connections import Connections
from ._errors import AmbiguousRun, NoSuchRun
from ._limits import Limits
from ._owner import this_process
from ._records import Claim, Ended, NewRun, Phase, RunKey, RunRecord
from ._run_rows import COLUMNS, FROM, START_COLUMNS, record_of, start_values
from ._verbs import Verb

_LATEST = "(SELECT max(number) FROM execution WHERE run = run.id)"
_OF_KEY = "run.project = ? AND run.experiment = ? AND run.name = ?"
_SHOWN = 10
"""At most so many runs of one name stand in an error."""
_LONGEST_TEXT = 1 << 18
"""Characters of an error and its traceback; of a longer one the end is kept, where it stands."""


@define(eq=False, kw_only=True)
class Runs:
    """The tables `run`, `experiment` and `execution`."""

    _connections: Connections = field(alias="connections")
    _limits: Limits = field(alias="limits")
    _clock: Callable[[], float] = field(default=time.time, alias="clock")

    def claim(self, new: NewRun, verb: Verb = "again") -> Claim:
        """Take the run for this process, and record that an execution of it begins.

        Raises:
            RunNameTaken: a run of this name is alive, or on another host and silent for too short.
            WrongPhase: the verb is not for a run in the phase that it is in.
            NotTheSame: parameters are not those of before; or, unless `again`, the configuration.
        """
        now, me, token = self._clock(), this_process(), secrets.token_hex(16)
        with self._connections.writing() as db:
            run, number = take(db, new, verb, now)
            values = (*start_values(new), me.host, me.pid, me.born, now, now)
            names = ", ".join(START_COLUMNS)
            db.execute(
                f"INSERT INTO execution (run, number, token, phase, {names}) "
                f"VALUES (?, ?, ?, 'running', {', '.join('?' * len(values))})",
                (run, number, token, *values),
            )
            execution = db.last_insert_rowid()
            let_fall_out(db, execution - self._limits.executions, now)
        return Claim(
            name=new.name,
            project=new.project,
            experiment=new.experiment,
            run=run,
            execution=execution,
            number=number,
            token=token,
        )

    def finish(
        self,
        claim: Claim,
        phase: Ended,
        *,
        outputs: bytes | None = None,
        error_code: str | None = None,
        error: str | None = None,
        trace: str | None = None,
    ) -> None:
        """Record how an execution ended. The run is free after that.

        Raises:
            ClaimLost: another process took this one for dead, or the end is recorded already.
        """
        said = (error_code, *(None if each is None else mask_text(each) for each in (error, trace)))
        with self._connections.writing() as db:
            db.execute(
                "UPDATE execution SET phase = ?, ended = ?, outputs = ?, error_code = ?, "
                "error = ?, trace = ? WHERE id = ? AND token = ? AND ended IS NULL",
                (
                    *(phase, self._clock(), outputs, *(storable(_end_of(each)) for each in said)),
                    *(claim.execution, claim.token),
                ),
            )
            if not db.changes():
                raise lost_claim(db, claim)

    def name_target(self, claim: Claim, target: str) -> None:
        """Say what an execution runs, which was not known when it began."""
        with self._connections.writing() as db:
            db.execute(
                "UPDATE execution SET target = ? WHERE id = ? AND token = ?",
                (storable(target), claim.execution, claim.token),
            )

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

    def request_abort(self, run: RunKey | str) -> RunRecord:
        """Ask the process that holds the run to abort it; it hears of it with its next heartbeat.

        Nothing is asked of a run that has ended, or whose process is dead: the record says so.

        Raises:
            NoSuchRun: as of `get`.
        """
        record = self.get(run)
        if record.phase == "running":
            with self._connections.writing() as db:
                db.execute(
                    "UPDATE execution SET abort_requested = coalesce(abort_requested, ?) "
                    "WHERE id = ? AND token = ? AND ended IS NULL",
                    (self._clock(), record.execution, record.token),
                )
        return self.get(record.key)

    # -- reading -----------------------------------------------------------------------------

    def find(self, reference: str) -> RunKey:
        """Return the run that `NAME`, or `PROJECT/EXPERIMENT/NAME`, stands for.

        Raises:
            TypeError: `reference` is no str.
            NoSuchRun: there is none.
            AmbiguousRun: several experiments have one of this name; the text lists them.
        """
        if not isinstance(cast("object", reference), str):
            raise TypeError(
                f"the name of a run is a str, got {reference!r}; `trouper runs` lists them"
            )
        *scopes, name = reference.rsplit("/", 2)
        where, values = ("name = ?", [name]) if not scopes else (_OF_KEY, [*scopes, name])
        with self._connections.reading() as db:
            rows = (
                []
                if len(scopes) == 1
                else db.execute(
                    f"SELECT name, project, experiment FROM run WHERE {where} "
                    f"ORDER BY created DESC, id DESC LIMIT {_SHOWN + 1}",
                    values,
                ).fetchall()
            )
        if not rows:
            raise NoSuchRun(f"no run named {reference!r} is recorded; `trouper runs` lists them")
        if len(rows) > 1:
            raise AmbiguousRun(_ambiguous(name, [str(RunKey(*row)) for row in rows]))
        return RunKey(*rows[0])

    def get(self, run: RunKey | str) -> RunRecord:
        """Return the newest execution of a run; a str is as of `find`.

        Raises:
            NoSuchRun: there is none, or several could be meant.
        """
        key = self.find(run) if isinstance(run, str) else run
        with self._connections.reading() as db:
            row = db.execute(
                f"SELECT {COLUMNS} {FROM} WHERE {_OF_KEY} ORDER BY number DESC LIMIT 1",
                (key.project, key.experiment, key.name),
            ).fetchone()
        if row is None:
            raise NoSuchRun(f"no run {str(key)!r} is recorded; `trouper runs` lists them")
        return record_of(row, self._clock())

    def executions(self, run: RunKey | str) -> Sequence[RunRecord]:
        """Return all executions of a run, the first one first; none if there is no such run.

        Raises:
            AmbiguousRun: as of `find`.
        """
        try:
            key = self.find(run) if isinstance(run, str) else run
        except AmbiguousRun:
            raise
        except NoSuchRun:
            return []
        with self._connections.reading() as db:
            rows = db.execute(
                f"SELECT {COLUMNS} {FROM} WHERE {_OF_KEY} ORDER BY number",
                (key.project, key.experiment, key.name),
            ).fetchall()
        return [record_of(row, self._clock()) for row in rows]

    def query(
        self,
        *,
        project: str | None = None,
        experiment: str | None = None,
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
        wanted = {
            "run.project": project,
            "run.experiment": experiment,
            "domain": domain,
            "target": target,
            "profile": profile,
        }
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
        sql = f"SELECT {COLUMNS} {FROM} WHERE {' AND '.join(where)} ORDER BY execution.id DESC"
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
                record = record_of(row, now)
                if phase is None or record.phase == phase:
                    found.append(record)
        return found

    def ids(self) -> frozenset[int]:
        """Return the ids of all runs."""
        with self._connections.reading() as db:
            return frozenset(row[0] for row in db.execute("SELECT id FROM run"))

    def scopes(self) -> Sequence[tuple[str, str, dict[str, Any]]]:
        """Return project, name and parameters of each experiment that a run was recorded in."""
        with self._connections.reading() as db:
            rows = db.execute(
                "SELECT project, name, params FROM experiment ORDER BY project, name"
            ).fetchall()
        return [
            (project, name, {} if params is None else msgspec.json.decode(params))
            for project, name, params in rows
        ]


def _end_of(text: str | None) -> str | None:
    return None if text is None else text[-_LONGEST_TEXT:]


def _ambiguous(name: str, runs: Sequence[str]) -> str:
    listed = ", ".join(runs[:_SHOWN])
    more = " and more" if len(runs) > _SHOWN else ""
    return f"several experiments have a run named {name!r}: {listed}{more}; say which one"
