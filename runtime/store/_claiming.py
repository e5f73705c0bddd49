"""What happens inside the one transaction that claims a run. The rules are those of `_runs`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ._database import Database
from ._errors import ClaimLost, NotTheSame, RunNameTaken, WrongPhase
from ._owner import SILENCE, Owner, liveness
from ._records import LOST, Claim, NewRun
from ._run_rows import LAST_SIGN, identity_values, lost_words
from ._verbs import Before, Verb, refusal


def take(db: Database, new: NewRun, verb: Verb, now: float) -> tuple[int, int]:
    """Return the id of the run, and the number of its next execution.

    Raises:
        RunNameTaken: it is alive, or can't be known to be dead.
        WrongPhase: the verb is not for a run in this phase.
        NotTheSame: parameters or configuration are not those it was begun with.
    """
    run = _run_of(db, new, now)
    last = db.execute(
        f"SELECT id, number, phase, ended, host, pid, born, {LAST_SIGN}, started, config_hash "
        "FROM execution WHERE run = ? ORDER BY number DESC LIMIT 1",
        (run,),
    ).fetchone()
    if last is None:
        _refuse_phase(verb, "pending", new.name)
        return run, 1
    execution, number, phase, ended, host, pid, born, heartbeat, started, config_hash = last
    if ended is None:
        owner = Owner(host, pid, born)
        _refuse_unless_dead(new.name, owner, heartbeat, started, now)
        mark_lost(db, execution, owner, heartbeat)
        phase = "failed"
    _refuse_phase(verb, phase, new.name)
    if verb != "again" and config_hash != new.config_hash:
        raise NotTheSame(
            f"the run {new.name!r} was begun with another configuration (hash "
            f"{config_hash[:12]!r}, now {new.config_hash[:12]!r}), which is part of what a run is; "
            "ask the experiment for a run with this profile_config, or give it the same one"
        )
    return run, number + 1


def _refuse_phase(verb: Verb, before: Before, name: str) -> None:
    problem = refusal(verb, before, name)
    if problem is not None:
        raise WrongPhase(problem)


def _run_of(db: Database, new: NewRun, now: float) -> int:
    """Return the id of the run; it and its experiment are recorded now if they were not."""
    of_experiment, of_run = identity_values(new)
    scope, key = (new.project, new.experiment), (new.project, new.experiment, new.name)
    db.execute(
        "INSERT INTO experiment (project, name, params, created) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET params = coalesce(params, excluded.params)",
        (*scope, of_experiment, now),
    )
    db.execute(
        "INSERT INTO run (project, experiment, name, parameters, created) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET parameters = coalesce(parameters, excluded.parameters)",
        (*key, of_run, now),
    )
    told = db.execute("SELECT params FROM experiment WHERE project = ? AND name = ?", scope).get
    same(f"the experiment {new.experiment!r}", told, of_experiment)
    run, told = db.execute(
        "SELECT id, parameters FROM run WHERE project = ? AND experiment = ? AND name = ?", key
    ).fetchone()
    same(f"the run {new.name!r}", told, of_run)
    return int(run)


def same(what: str, recorded: str | None, given: str | None) -> None:
    """Compare parameters with those that were recorded.

    Raises:
        NotTheSame: they differ; the text says where.
    """
    if recorded is None or given is None or recorded == given:
        return
    before: dict[str, Any] = msgspec.json.decode(recorded)
    now: dict[str, Any] = msgspec.json.decode(given)
    differ = [
        f"{key} was {before.get(key, '(none)')!r} and is {now.get(key, '(none)')!r} now"
        for key in sorted({*before, *now})
        if before.get(key, ...) != now.get(key, ...)
    ]
    if differ:
        shown = "; ".join(differ)
        raise NotTheSame(f"{what} has other parameters: {shown[:500]}. Choose another name for it")


def _refuse_unless_dead(
    name: str, owner: Owner, heartbeat: float, started: float, now: float
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


def let_fall_out(db: Database, last: int, now: float) -> None:
    """Remove executions up to the id `last` that have ended, or whose process is dead."""
    old: Sequence[Any] = db.execute(
        "SELECT id, run, ended, host, pid, born, heartbeat FROM execution WHERE id <= ?",
        (last,),
    ).fetchall()
    for execution, run, ended, host, pid, born, heartbeat in old:
        if ended is None and liveness(Owner(host, pid, born), heartbeat, now) != "dead":
            continue
        db.execute("DELETE FROM execution WHERE id = ?", (execution,))
        db.execute(
            "DELETE FROM run WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM execution WHERE run = ?1)",
            (run,),
        )
        if db.changes():
            db.execute(
                "DELETE FROM experiment WHERE NOT EXISTS (SELECT 1 FROM run WHERE "
                "run.project = experiment.project AND run.experiment = experiment.name)"
            )


def mark_lost(db: Database, execution: int, owner: Owner, heartbeat: float) -> None:
    error = lost_words(owner.pid, owner.host)
    db.execute(
        "UPDATE execution SET phase = 'failed', ended = ?, error_code = ?, error = ? WHERE id = ?",
        (heartbeat, LOST, error, execution),
    )
    db.execute(
        "UPDATE action SET phase = 'failed', ended = ?, error_code = ?, error = ? "
        "WHERE execution = ? AND ended IS NULL",
        (heartbeat, LOST, error, execution),
    )


def lost_claim(db: Database, claim: Claim) -> ClaimLost:
    """Return the error for a claim that no longer holds, with what the record says instead."""
    told = db.execute("SELECT phase, error FROM execution WHERE id = ?", (claim.execution,))
    phase, error = told.fetchone() or ("no longer there", None)
    why = f" ({error})" if error else ""
    return ClaimLost(
        f"execution {claim.number} of the run {claim.name!r} is {phase}{why} in the record; "
        "nothing more is written for it. Start the run again"
    )
