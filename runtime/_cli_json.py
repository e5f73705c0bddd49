"""The closing report of `trouper run --json`, for a program."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from ..actors._dead_letters import DeadLetter
from ..actors._failure import FailureSummary, summarize
from ._drain_report import DrainReport
from ._group_report import GroupReport
from ._report import WorkflowResult

_LETTERS = 100
"""Dead letters that are listed, the last ones."""
_LONGEST = 2_000
"""Characters of the repr that stands for a value which JSON can't hold."""


def json_report(result: WorkflowResult, exit_code: int) -> str:
    """Return the report as one JSON object; what JSON can't hold is a repr, infinity is null."""
    edges = [{**jsonable(edge), "is_closed": edge.is_closed} for edge in result.edges]
    report = {
        "run": result.run_name,
        "workflow": result.workflow,
        "status": result.status,
        "exit_code": exit_code,
        "interrupted": result.interrupted,
        "seconds": result.seconds,
        "reason": result.reason,
        "failed_node": result.failed_node,
        "error": None if result.error is None else failure_as_json(result.error),
        "cut_short": list(result.cut_short),
        "drain": None if result.drain is None else _drain(result.drain),
        "nodes": {
            name: {**jsonable(node), "failures": [_failure(each) for each in node.failures]}
            for name, node in result.nodes.items()
        },
        "groups": {name: _group(group) for name, group in result.groups.items()},
        "edges": edges,
        "is_ledger_closed": all(edge.is_closed for edge in result.edges),
        "dead_letters": {
            "kept": len(result.dead_letters),
            "fallen_out": result.dead_letters_fallen_out,
            "last": [_letter(each) for each in result.dead_letters[-_LETTERS:]],
        },
        "outputs": {name: jsonable(value) for name, value in result.outputs.items()},
        "results": {name: jsonable(value) for name, value in result.results.items()},
    }
    # Pure ASCII: a name may hold bytes that are no text, which UTF-8 can't hold either.
    return json.dumps(report, indent=2, allow_nan=False)


def failure_as_json(error: BaseException) -> Mapping[str, str]:
    """Return what a program gets of an exception."""
    return _failure(summarize(error))


def _failure(failure: FailureSummary) -> Mapping[str, str]:
    return {
        "type": failure.type,
        "message": failure.message,
        "where": failure.where,
        "text": failure.text(),
    }


def _group(group: GroupReport) -> Mapping[str, Any]:
    escalations = [
        {**jsonable(each), "failures": [_failure(failure) for failure in each.failures]}
        for each in group.escalations
    ]
    return {**jsonable(group), "escalations": escalations}


def _drain(drain: DrainReport) -> Mapping[str, Any]:
    totals = {
        "acknowledged": drain.acknowledged,
        "redelivered": drain.redelivered,
        "dead_lettered": drain.dead_lettered,
        "abandoned": drain.abandoned,
    }
    return {**jsonable(drain), **totals}


def _letter(letter: DeadLetter) -> Mapping[str, Any]:
    envelope = letter.envelope
    return {
        "node": letter.node,
        "id": envelope.id,
        "source": envelope.source,
        "seq": envelope.seq,
        "attempt": envelope.attempt,
        "reason": letter.reason,
        "payload": jsonable(envelope.payload),
        "at": letter.at,
        "attempts": [
            {**jsonable(each), "failure": _failure(each.failure)} for each in letter.attempts
        ],
        "failures": [_failure(each) for each in letter.failures],
    }


def jsonable(value: Any) -> Any:
    """Return what JSON can hold of a value."""
    try:
        return _finite(msgspec.to_builtins(value, str_keys=True, enc_hook=_stand_in))
    except Exception:  # a key that is no text, a loop, the user's __repr__: any may be in a value
        return _stand_in(value)


def _stand_in(value: object) -> str:
    try:
        text = repr(value)
    except Exception as problem:  # the user's own
        text = f"(its repr can't be made: {type(problem).__name__})"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        items = cast("Mapping[str, Any]", value)
        return {key: _finite(each) for key, each in items.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in cast("Sequence[Any]", value)]
    return value
