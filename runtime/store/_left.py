"""Executions whose process is dead, whether it has told their end or not."""

import msgspec

from ._database import Database
from ._owner import Owner, liveness
from ._records import RunKey


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What a process that is dead has left."""

    key: RunKey
    number: int
    is_last: bool
    """No other execution of the run has begun since."""
    has_completed: bool


def left_by_the_dead(db: Database, execution: int, now: float) -> Left | None:
    """Return an execution whose process is dead; None: it may live, or there is none of this id."""
    row = db.execute(
        "SELECT run.name, run.project, run.experiment, number, phase, host, pid, born, heartbeat, "
        "(SELECT max(number) FROM execution WHERE run = run.id) FROM execution "
        "JOIN run ON run.id = execution.run WHERE execution.id = ?",
        (execution,),
    ).fetchone()
    if row is None:
        return None
    name, project, experiment, number, phase, host, pid, born, heartbeat, last = row
    if liveness(Owner(host, pid, born), heartbeat, now) != "dead":
        return None
    return Left(
        key=RunKey(name, project, experiment),
        number=number,
        is_last=number == last,
        has_completed=phase == "completed",
    )
