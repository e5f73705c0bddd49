"""Looks after the questions of a run that nobody has answered yet: time limits and deadlocks.

One task for all of them, which is there only while there are any: a cancel scope for each would
cost more than the asking.
"""

import inspect
import math
from collections.abc import Collection
from typing import TYPE_CHECKING

import trio

from ..actors._ask import Question
from ..actors._ask_cycles import Waits, find_path, find_stuck
from ..actors._ask_errors import AskCycle
from ..actors._child import ActorChild
from ..actors._lease import Leases
from ..actors._lifecycle import State
from ..actors._workers import leases_of
from ..channels._lane import Lane
from ._user_line import user_line, waits_at

if TYPE_CHECKING:
    from ._execution import Execution

OVER = (State.DONE, State.FAILED, State.CANCELLED)

LOOK = 1.0
"""Seconds between two looks for nodes that wait for one another."""

OVERDUE = TimeoutError("no reply came in time")


class AskWatch:
    """The questions that are open, and the task that looks after them."""

    def __init__(self, execution: "Execution") -> None:
        self._execution = execution
        self.owners: dict[trio.lowlevel.Task, Question] = {}
        """Task -> what it asks. A task asks one question at a time."""
        self.wakes_at = math.inf
        """When the task looks next; questions that end sooner must hurry it."""
        self.is_watching = False
        self._scope = trio.CancelScope()
        self._suspects: frozenset[Question] = frozenset()

    def look(self) -> None:
        """Let the task end, if there is one, when all nodes have: it must not keep the run."""
        cells = self._execution.cells.values()
        if self.is_watching and all(cell.child.state in OVER for cell in cells):
            self._scope.cancel()

    def hurry(self, deadline: float) -> None:
        """Look at this deadline at the latest."""
        if not self.is_watching:
            self.is_watching = True
            self.wakes_at = min(deadline, trio.current_time() + LOOK)
            self._execution.start_soon(self._watch, "questions")
        else:
            self.wakes_at = self._scope.deadline = deadline

    async def _watch(self) -> None:
        try:
            while self.owners:
                with trio.CancelScope(deadline=self.wakes_at) as self._scope:
                    await trio.sleep_forever()
                now = trio.current_time()
                if now < self.wakes_at:
                    break  # every node has ended
                for question in tuple(self.owners.values()):
                    if question.deadline <= now:
                        question.fail(OVERDUE)
                self._look()
                ends = (each.deadline for each in self.owners.values() if not each.is_over)
                self.wakes_at = min([now + LOOK, *ends])
        finally:
            self.is_watching = False
            self.wakes_at = math.inf

    # -- deadlocks ---------------------------------------------------------------------------

    def _look(self) -> None:
        """End the youngest question of those that were stuck at the last look already."""
        waits = self.waits()
        stuck = find_stuck(waits)
        found = [
            q for q in self.owners.values() if q.asked_by is not None and q.asked_by.name in stuck
        ]
        lasting = [question for question in found if question in self._suspects]
        self._suspects = frozenset(found)
        if lasting:
            question = lasting[-1]
            assert question.asked_by is not None
            question.fail(self._error(waits, question.asked_by.name))

    def find_cycle(self, question: Question) -> AskCycle | None:
        """Return why a question could never be answered, if that is so."""
        asker = question.asked_by
        assert asker is not None
        waits = self.waits()
        return self._error(waits, asker.name) if asker.name in find_stuck(waits) else None

    def waits(self) -> Waits:
        """Return whom the hands of those wait for that a question leads to, or comes from."""
        waits: dict[str, list[Collection[str]]] = {}
        todo = {each.asked_by.name for each in self.owners.values() if each.asked_by is not None}
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            seen.add(name)
            hands = self._hands(name)
            if hands is not None:
                waits[name] = hands
                todo.update(other for hand in hands for other in hand if other not in seen)
        return waits

    def _hands(self, name: str) -> list[Collection[str]] | None:
        """Return whom each hand of a node waits for; None if one of them is free."""
        cell = self._execution.cells.get(name)
        child = None if cell is None else cell.child
        if not isinstance(child, ActorChild) or child.state not in (State.RUNNING, State.STARTING):
            return None
        hands: list[Collection[str]] = []
        for lease in leases_of(child.mailbox):
            hand = self._hand(lease, child)
            if not hand:
                return None
            hands.append(hand)
        return hands

    def _hand(self, lease: Leases, child: ActorChild) -> Collection[str]:
        owner = lease.owner
        if lease.parked is not None:
            return ()
        if owner is None:  # it has never asked for a message
            question = next((each for each in self.owners.values() if each.asked_by is lease), None)
        else:
            question = self.owners.get(owner)
        if question is not None:
            inner = [each for each in self.owners.values() if question in each.parents]
            return question.held_by(inner) or {question.to}
        return {lane.target for lane, task in _full(child) if owner is not None and task is owner}

    # -- telling -----------------------------------------------------------------------------

    def _error(self, waits: Waits, asker: str) -> AskCycle:
        """Return what the asker is told (case X24): the ring, who waits behind it, and where."""
        path = find_path(waits, asker)
        behind = self._behind(path)
        names = " -> ".join(map(repr, path))
        tail = f"; behind them wait {', '.join(map(repr, behind))}" if behind else ""
        if path == (asker, asker):
            text = (
                f"{asker!r} asks itself while it handles a message, so that nobody would take the "
                "question; call the method, or ask from an actor with concurrency=n"
            )
        else:
            text = (
                f"nodes wait for one another, each for a reply or for room: {names}{tail}; let one "
                "of them send instead of ask, give it concurrency=n, or a larger capacity"
            )
        lines = {name: self._line(name) for name in dict.fromkeys((*path, *behind))}
        return AskCycle(text, path, behind, {name: line for name, line in lines.items() if line})

    def _behind(self, path: Collection[str]) -> tuple[str, ...]:
        """Return all other nodes that wait for these, in the order of the graph."""
        waits: dict[str, list[Collection[str]]] = {}
        for name, cell in self._execution.cells.items():
            hands = self._hands(name)
            if hands is not None:
                waits[name] = hands
            elif isinstance(cell.child, ActorChild) and cell.child.mailbox.owner is None:
                # A source has never asked for a message: nobody knows which of its tasks it is.
                full = {lane.target for lane, _ in _full(cell.child)}
                if full:
                    waits[name] = [full]
        stuck = find_stuck(waits)
        return tuple(name for name in self._execution.cells if name in stuck and name not in path)

    def _line(self, name: str) -> str:
        """Return where a node waits; "" if that is not known."""
        cell = self._execution.cells.get(name)
        if cell is None or not isinstance(cell.child, ActorChild):
            return ""
        asking = [task for task, each in self.owners.items() if _is_by(each, name)]
        tasks = [*asking, *(task for _, task in _full(cell.child))]
        if not tasks:
            return ""
        if tasks[0] is not trio.lowlevel.current_task():
            return waits_at(tasks[0])
        frame = inspect.currentframe()
        return "" if frame is None else user_line(frame)


def _full(child: ActorChild) -> list[tuple[Lane, trio.lowlevel.Task]]:
    """Return the lanes in front of which a task of a node waits for room, and that task."""
    lanes = (lane for outlet in child.all_outlets() for lane in outlet.lanes)
    return [(lane, lane.blocked.parked) for lane in lanes if lane.blocked.parked is not None]


def _is_by(question: Question, name: str) -> bool:
    return question.asked_by is not None and question.asked_by.name == name
