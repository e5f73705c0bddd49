"""Put dead letters back to the nodes that gave them up.

A letter of this run goes back into the ledger of its edge: counted as leased, no more as given up.
One of another run, or of a spawned child before this one of its name, enters as if its upstream had
sent it again.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import msgspec

from ..actors._child import ActorChild
from ..actors._dead_letters import LATE_REPLY, DeadLetter
from ..actors._returns import Returned
from ..channels._envelope import Envelope, MessageContext, Origin
from ..channels._fan_in import Joined
from ..channels._lane import Lane
from ._convert_message import convert_message
from ._execution import Execution
from ._message_types import expected_types
from ._names import suggest
from ._node_ended import NodeEnded
from ._sources import RUN
from ._wiring import Cell

log = logging.getLogger("trouper")

_OVER = ("done", "failed", "cancelled")


async def redeliver(
    execution: Execution,
    what: DeadLetter | Iterable[DeadLetter] | Callable[[DeadLetter], object],
) -> int:
    """Put letters back; return how many. Arguments and errors: as `LiveRun.redeliver`."""
    dead = execution.dead_letters
    chosen = _messages(_chosen(execution, what))
    letters = [letter for letter in chosen if not dead.was_put_back(letter)]
    # Who names a letter is told that it can't be; who chooses among all takes what can be.
    skips = callable(what) and execution.status == "running"
    left: list[DeadLetter] = []
    if skips:
        left = [each for each in letters if not _is_taken(execution, each)]
        letters = [each for each in letters if _is_taken(execution, each)]
    kept = {id(letter) for letter in dead}
    # All of them are looked at before any is put back.
    cells = [_cell_of(execution, letter) for letter in letters]
    others = [
        None
        if id(letter) in kept and _is_known(cell, letter)
        else _Foreign(execution, cell, letter)
        for letter, cell in zip(letters, cells, strict=True)
    ]
    put_back = 0
    for letter, cell, foreign in zip(letters, cells, others, strict=True):
        try:
            put_back += await _redeliver_one(
                execution, cell, letter, foreign, is_kept=id(letter) in kept
            )
        except NodeEnded:
            if not skips or execution.status != "running":
                raise
            left.append(letter)  # its node has ended meanwhile
    if left:
        _tell_left(left)
    return put_back


def _is_taken(execution: Execution, letter: DeadLetter) -> bool:
    """Return whether there is a node that takes such a letter: a child may have ended."""
    cell = execution.desk.cells.get(letter.node)
    if cell is None or not isinstance(cell.child, ActorChild):
        return False
    return not cell.child.mailbox.closed and cell.child.state.value not in _OVER


def _is_known(cell: Cell, letter: DeadLetter) -> bool:
    """Return whether the ledger of this node counts it: a former child of that name may have."""
    assert isinstance(cell.child, ActorChild)
    box = cell.child.mailbox
    dropped = {lane.source: lane.dropped.get(letter.reason, 0) for lane in box.lanes}
    return all(
        box.settled.get((source, letter.reason), 0) or dropped.get(source, 0)
        for source in box.sources_of(letter.envelope)
    )


def _tell_left(left: Sequence[DeadLetter]) -> None:
    nodes = Counter(letter.node for letter in left)
    shown = ", ".join(f"{name!r} ({count})" for name, count in nodes.most_common(5))
    more = f" and {len(nodes) - 5} more" if len(nodes) > 5 else ""
    log.warning(
        "redeliver: %d of the letters chosen stay dead letters, because their nodes take nothing "
        "more: %s%s; send their payloads to another node with run.send",
        len(left),
        shown,
        more,
    )


def restore(execution: Execution, letters: Iterable[DeadLetter]) -> int:
    """Put letters of an earlier run into one that has not begun; return how many.

    All or none: nothing is put back if one of them fits nowhere. There is no bound, for nobody
    reads yet; the letters were in memory before.

    Raises:
        ValueError, TypeError: as `LiveRun.redeliver`.
    """
    entering = [
        (_cell_of(execution, letter), _Foreign(execution, _cell_of(execution, letter), letter))
        for letter in _messages(letters)
    ]
    for cell, foreign in entering:
        assert isinstance(cell.child, ActorChild)
        cell.child.mailbox.put_back(foreign.enter())
    return len(entering)


def _chosen(execution: Execution, what: object) -> list[DeadLetter]:
    if isinstance(what, DeadLetter):
        return [what]
    if callable(what):
        return execution.dead_letters.choose(cast("Callable[[DeadLetter], object]", what))
    letters = list(cast("Iterable[object]", what)) if isinstance(what, Iterable) else [what]
    for letter in letters:
        if not isinstance(letter, DeadLetter):
            raise TypeError(
                f"redeliver takes dead letters, or a function that chooses among them, got "
                f"{letter!r}"
            )
    return cast("list[DeadLetter]", letters)


def _messages(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Return those that were messages to a node: nobody waits for a reply any more."""
    return [letter for letter in letters if letter.reason != LATE_REPLY]


def _cell_of(execution: Execution, letter: DeadLetter) -> Cell:
    cell = execution.desk.cells.get(letter.node)
    if cell is None and letter.node.partition("/")[0] in execution.cells and "/" in letter.node:
        raise NodeEnded(
            f"{letter.node!r}, a child of ctx.spawn, has ended; dead letter {letter.id!r} was not "
            "put back: send its payload with run.send",
            letter.envelope.payload,
        )
    if cell is None or not isinstance(cell.child, ActorChild):
        raise ValueError(
            f"dead letter {letter.id!r} is of {letter.node!r}, which is no actor of this graph;"
            f"{suggest(letter.node, execution.cells)}"
        )
    return cell


async def _redeliver_one(
    execution: Execution,
    cell: Cell,
    letter: DeadLetter,
    foreign: "_Foreign | None",
    *,
    is_kept: bool,
) -> bool:
    """Put one letter back; return False if another task has done it meanwhile.

    Args:
        foreign: how it enters, if the ledger of its node doesn't count it; else None.
        is_kept: whether it is among the dead letters of this run.
    """
    child = cell.child
    assert isinstance(child, ActorChild)
    box = child.mailbox
    await box.wait_room(max(1, cell.node.options.capacity))
    if box.closed or child.state.value in _OVER or execution.status != "running":
        raise NodeEnded(
            f"{letter.node!r} takes nothing more (it is {child.state.value}, the run is "
            f"{execution.status}); dead letter {letter.id!r} was not put back"
        )
    if is_kept and not execution.dead_letters.take(letter):
        return False  # another task was quicker
    if foreign is not None:
        box.put_back(foreign.enter())
    else:
        box.take_back(letter.envelope, letter.reason)
        again = msgspec.structs.replace(
            letter.envelope, attempt=1, context=_fresh(letter.envelope.context)
        )
        box.put_back(Returned(again, letter.placed, letter.attempts))
    return True


def _fresh(context: MessageContext) -> MessageContext:
    """Return a context without what is over: its deadline, and whoever followed it."""
    if context.deadline is None and not context.tracking:
        return context
    return msgspec.structs.replace(context, deadline=None, tracking=())


class _Foreign:
    """A letter of another run, or of a former child.

    It is checked when it is made, and can only succeed then.
    """

    def __init__(self, execution: Execution, cell: Cell, letter: DeadLetter) -> None:
        child = cell.child
        assert isinstance(child, ActorChild)
        self._box = child.mailbox
        self._letter = letter
        self._base = execution.settings.message_context
        envelope = letter.envelope
        self._check_shape(cell, envelope)
        self._lanes = [self._lane(execution, s) for s in self._box.sources_of(envelope)]
        self._payload = self._converted(cell, envelope)

    def _check_shape(self, cell: Cell, envelope: Envelope[Any]) -> None:
        joins = self._box.join is not None
        if joins is not isinstance(envelope, Joined):
            raise ValueError(
                f"dead letter {self._letter.id!r} can't be put back: {cell.node.name!r} takes "
                f"{'joined' if joins else 'single'} messages now, and it is "
                f"{'none' if joins else 'a joined one'}; send its payload with run.send"
            )

    def _lane(self, execution: Execution, source: str) -> Lane:
        if source == RUN:
            execution.inlet(self._letter.node)  # opened, if there is none yet
        lanes = {lane.source: lane for lane in self._box.lanes}
        if source not in lanes:
            raise ValueError(
                f"dead letter {self._letter.id!r} came from {source!r}, which is no stream into "
                f"{self._letter.node!r} now;{suggest(source, lanes)} send its payload with run.send"
            )
        return lanes[source]

    def _converted(self, cell: Cell, envelope: Envelope[Any]) -> Any:
        node = cell.node
        keys = [*(upstream.key for upstream in node.upstreams), RUN]
        types = expected_types(node.types.input, keys if node.keyed else [envelope.source])

        def convert(payload: Any, source: str) -> Any:
            return convert_message(payload, types.get(source, Any), node=node.name)

        if not isinstance(envelope, Joined):
            return convert(envelope.payload, envelope.source)
        parts = cast("Mapping[str, Any]", envelope.payload)
        return MappingProxyType({key: convert(part, key) for key, part in parts.items()})

    def enter(self) -> Returned:
        """Count it as sent on its edges, and return what comes again."""
        letter, envelope = self._letter, self._letter.envelope
        for lane in self._lanes:
            lane.sent += 1
        context = msgspec.structs.replace(
            _fresh(envelope.context), run=self._base.run, parent_action=self._base.parent_action
        )
        origin = envelope.origin or (envelope.source, envelope.seq)
        again = msgspec.structs.replace(
            envelope,
            payload=self._payload,
            # A part that a `latest` join has kept was not taken again: no lane may stand for it.
            seq=self._lanes[0].sent if not isinstance(envelope, Joined) else envelope.seq,
            attempt=1,
            context=context,
            origin=_of_run(origin, envelope.context.run),
        )
        return Returned(again, 0, letter.attempts)


def _of_run(origin: Origin, run: str) -> Origin:
    """Return an origin that no message of this run has: it names the run that it comes from."""
    if len(origin) == 3:
        return (_of_run(origin[0], run), *origin[1:])
    return (f"{run}/{origin[0]}", *origin[1:])
