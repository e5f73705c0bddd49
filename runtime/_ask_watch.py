"""Looks after the questions of a run that nobody has answered yet: time limits and deadlocks.

One task for all of them, which is there only while there are any: a cancel scope for each would
cost more than the asking.
"""

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
            question.fail(cycle_error(waits, question.asked_by.name))

    def find_cycle(self, question: Question) -> AskCycle | None:
        """Return why a question could never be answered, if that is so."""
        asker = question.asked_by
        assert asker is not None
        waits = self.waits()
        return cycle_error(waits, asker.name) if asker.name in find_stuck(waits) else None

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
        for outlet in child.all_outlets():
            for lane in outlet.lanes:
                if owner is not None and lane.blocked.parked is owner:
                    return {lane.target}
        return ()


def cycle_error(waits: Waits, asker: str) -> AskCycle:
    """Return what the asker is told."""
    path = find_path(waits, asker)
    names = " -> ".join(map(repr, path))
    if path == (asker, asker):
        text = (
            f"{asker!r} asks itself while it handles a message, so that nobody would take the "
            "question; call the method, or ask from an actor with concurrency=n"
        )
    else:
        text = (
            f"nodes wait for one another, each for a reply or for room: {names}; let one of them "
            "send instead of ask, give it concurrency=n, or a larger capacity"
        )
    return AskCycle(text, path)
