"""Rows of runs and executions, and the values they become. No statement is executed here."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal

import msgspec

from ._actions import storable
from ._owner import Owner, liveness
from ._records import LOST, NewRun, RunRecord

LAST_SIGN = (
    "CASE WHEN execution.ended IS NOT NULL THEN heartbeat ELSE max(heartbeat, coalesce("
    "(SELECT max(coalesce(action.ended, action.started)) FROM action "
    "WHERE action.execution = execution.id), 0)) END"
)
"""When an execution that goes on was last heard of: its heartbeat, or the last of its actions."""
COLUMNS = (
    "run.project, run.experiment, run.name, run.parameters, experiment.params, run.id, "
    "execution.id, number, phase, target, kind, mode, version, domain, org, queue, labels, "
    "annotations, execution.params, profile, config, config_hash, host, pid, run.created, started, "
    "ended, error_code, error, trace, abort_requested, actions_left_out, token, inputs, outputs, "
    f"born, {LAST_SIGN}"
)
FROM = (
    "FROM execution JOIN run ON run.id = execution.run JOIN experiment "
    "ON experiment.project = run.project AND experiment.name = run.experiment"
)
START_COLUMNS = (
    *("target", "kind", "mode", "version", "domain", "org", "queue"),
    *("labels", "annotations", "params", "profile", "config", "config_hash", "inputs"),
    *("host", "pid", "born", "started", "heartbeat"),
)
_FIELDS = tuple(each for each in RunRecord.__struct_fields__ if each != "is_lost")
_JSON = ("parameters", "experiment_params", "labels", "annotations", "params", "config")


def start_values(new: NewRun) -> tuple[Any, ...]:
    """Return the values of `START_COLUMNS` that come from the caller.

    Raises:
        TypeError: labels or annotations hold what JSON can't, or anything text that is no Unicode.
    """
    try:
        return tuple(map(storable, _plain_values(new)))
    except (TypeError, ValueError) as error:
        raise TypeError(_unfit(new, error)) from error


def _plain_values(new: NewRun) -> tuple[Any, ...]:
    return (
        *(new.target, new.kind, new.mode, new.version, new.domain, new.org, new.queue),
        *(_json(new.labels), _json(new.annotations), _json(new.params, enc_hook=_shown)),
        *(new.profile, _json(new.config, enc_hook=_shown), new.config_hash, new.inputs),
    )


def identity_values(new: NewRun) -> tuple[str | None, str | None]:
    """Return the parameters of the experiment and of the run, as JSON; None: not said.

    Raises:
        TypeError: as of `start_values`.
    """
    try:
        of_experiment, of_run = (
            None if each is None else storable(_json(each, in_order=True))
            for each in (new.experiment_params, new.parameters)
        )
    except (TypeError, ValueError) as error:
        raise TypeError(_unfit(new, error)) from error
    return of_experiment, of_run


def _unfit(new: NewRun, error: Exception) -> str:
    return (
        f"the parameters of the run {new.name!r} can't be recorded: {error}; make them dicts, "
        "lists and scalars, and text that UTF-8 can hold"
    )


def _json(
    value: Mapping[str, Any],
    *,
    in_order: bool = False,
    enc_hook: Callable[[Any], Any] | None = None,
) -> str:
    order: Literal["deterministic"] | None = "deterministic" if in_order else None
    return msgspec.json.encode(value, order=order, enc_hook=enc_hook).decode()


def _shown(value: object) -> str:
    """Stand for a value of a configuration that JSON does not know: a run needs no plain ones."""
    return str(value) if isinstance(value, PurePath) else repr(value)


def lost_words(pid: int, host: str) -> str:
    return f"process {pid} on {host.partition('/')[0]} ended without saying how"


def record_of(row: Sequence[Any], now: float) -> RunRecord:
    """Return the record that a row of `COLUMNS` is; whether a process lives is looked up."""
    *values, born, heartbeat = row
    data = dict(zip(_FIELDS, values, strict=True))
    for key in _JSON:
        data[key] = {} if data[key] is None else msgspec.json.decode(data[key])
    owner = Owner(data["host"], data["pid"], born)
    is_dead = data["ended"] is None and liveness(owner, heartbeat, now) == "dead"
    if is_dead:
        data |= {"phase": "failed", "ended": heartbeat, "error_code": LOST}
        data["error"] = lost_words(owner.pid, owner.host)
    return RunRecord(is_lost=data["error_code"] == LOST, **data)
