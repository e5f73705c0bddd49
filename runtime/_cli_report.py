"""The closing report of `trouper run`, for a person."""

import os
from collections.abc import Iterator
from pathlib import Path

import outcome
import trio

from ..actors._dead_letters import DeadLetter
from ..actors._failure import OURS, summarize
from ._cli_groups import groups_of_run
from ._cli_plain import restarts_of
from ._cli_text import columns, count, plain, plain_lines, shown
from ._drain_report import DrainReport, in_words
from ._report import EdgeReport, NodeReport, WorkflowResult

_LETTERS = 5
"""Dead letters that are shown, the last ones."""
_ERROR_LINES = 12
_MACHINERY = (
    f"at {OURS}",
    *(f"at {Path(str(each.__file__)).parent}{os.sep}" for each in (trio, outcome)),
)
"""How the lines of places begin that tell the user nothing."""


def closing_report(result: WorkflowResult) -> Iterator[str]:
    """Yield the lines of the report, each harmless for a terminal."""
    yield ""
    yield _headline(result)
    if result.reason:
        yield from (f"  {line}" for line in plain_lines(result.reason))
    if result.cut_short:
        yield f"  cut short when the drain's time was up: {', '.join(map(plain, result.cut_short))}"
    yield ""
    yield from _nodes(result)
    if result.groups:
        yield ""
        yield from groups_of_run(result.groups.values())
    if result.edges:
        yield ""
        yield from _edges(result.edges)
    if result.drain is not None:
        yield ""
        yield from _drain(result.drain)
    if result.dead_letters:
        yield ""
        yield from _letters(result.dead_letters, result.dead_letters_fallen_out)
    if result.error is not None:
        yield ""
        yield f"what failed {plain(result.failed_node)}"
        yield from error_lines(result.error)


def error_lines(error: BaseException) -> Iterator[str]:
    """Yield the lines that tell a failure, without the places that are ours or trio's."""
    lines = [
        line
        for line in summarize(error).text().split("\n")
        if not line.strip().startswith(_MACHINERY)
    ]
    yield from (f"  {plain(line)}" for line in lines[:_ERROR_LINES])
    if len(lines) > _ERROR_LINES:
        yield f"  and {len(lines) - _ERROR_LINES} more lines"


def _headline(result: WorkflowResult) -> str:
    interrupted = ", interrupted" if result.interrupted else ""
    return (
        f"run {plain(result.run_name)} of {plain(result.workflow)}: "
        f"{result.status}{interrupted} after {result.seconds:.1f} s"
    )


def _nodes(result: WorkflowResult) -> Iterator[str]:
    head = ("node", "kind", "state", "received", "sent", "restarts", "redelivered", "dead letters")
    yield from columns([head, *map(_node, result.nodes.values())])
    for node in result.nodes.values():
        if node.failures:
            last = node.failures[-1]
            # What `restart_on` answers by "resume" ends no incarnation.
            times = count(node.failed, "failure") if node.failed else "went on after failures"
            yield f"  {plain(node.name)}, {times}, the last: {plain(last)}{_at(last.where)}"
        if node.conflicts:
            keys = count(node.conflicts, "conflicting key")
            yield f"  {plain(node.name)}, {keys} of custom_context: the first one's value was kept"


def _node(node: NodeReport) -> tuple[str, ...]:
    numbers = (
        node.received,
        node.sent,
        restarts_of(node),
        node.redelivered,
        node.dead_lettered,
    )
    return plain(node.name), node.kind, node.state, *(f"{each:,}" for each in numbers)


def _edges(edges: tuple[EdgeReport, ...]) -> Iterator[str]:
    head = ("edge", "sent", "=", "acked", "dead", "expired", "dropped", "queued", "in hand", "")
    yield from columns([head, *map(_edge, edges)])
    still_open = sum(not edge.is_closed for edge in edges)
    yield f"  the ledger is {_closed(still_open, len(edges))}"


def _closed(still_open: int, edges: int) -> str:
    if still_open:
        return f"open on {still_open:,} of {count(edges, 'edge')}"
    return "closed on the edge" if edges == 1 else f"closed on all {edges:,} edges"


def _edge(edge: EdgeReport) -> tuple[str, ...]:
    numbers = (
        edge.acknowledged,
        edge.dead_lettered,
        edge.expired,
        sum(edge.dropped.values()),
        edge.queued,
        edge.leased,
    )
    return (
        plain(f"{edge.source} -> {edge.target}"),
        f"{edge.sent:,}",
        "=",
        *(f"{each:,}" for each in numbers),
        "closed" if edge.is_closed else "OPEN",
    )


def _drain(drain: DrainReport) -> Iterator[str]:
    yield f"drained in {drain.seconds:.1f} s of {drain.budget:g} s: {in_words(drain)}"
    if len(drain.actors) > 1:
        for name, each in drain.actors.items():
            yield f"  {plain(name)}: {in_words(each)}"


def _letters(letters: tuple[DeadLetter, ...], fallen_out: int) -> Iterator[str]:
    older = len(letters) - _LETTERS
    kept = f", the newest {len(letters):,} kept" if fallen_out else ""
    part = ", the last five" if older > 0 else ""
    yield f"{count(len(letters) + fallen_out, 'dead letter')}{kept}{part}"
    for letter in letters[-_LETTERS:]:
        envelope = letter.envelope
        yield (
            f"  {plain(letter.node)}: {plain(envelope.id)}, attempt {envelope.attempt}, "
            f"{plain(letter.reason)}: {shown(envelope.payload)}"
        )
        if letter.failures:
            last = letter.failures[-1]
            yield f"    {plain(last)}{_at(last.where)}"


def _at(where: str) -> str:
    return f", at {plain(where)}" if where else ""
