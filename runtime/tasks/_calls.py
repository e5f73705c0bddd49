"""What a run keeps of its actions while it goes on."""

import random
from collections.abc import Callable, Coroutine
from time import time
from typing import TYPE_CHECKING, Any

import trio

from ...actors._current import current_context
from ...actors._failure import FailureSummary
from ...actors._run_context import RunContext
from ...actors._task_context import TaskContext
from ...channels._meter import Pace
from ._action import Action, CallContext, Phase

if TYPE_CHECKING:
    from ._recall import Keeper

Perform = Callable[..., Coroutine[Any, Any, Any]]

MOST_ACTIONS = 100_000
"""Actions that a run keeps the records of; of those that end beyond that it only knows how many."""

_KEY = "calls"


class Calls:
    """The actions of one run: bounded, named by caller and order."""

    starter: Action | None = None
    """The action of another run that has started this one, and waits for it."""
    perform: "Perform | None" = None
    """What its calls go through; None: what their tasks say."""
    interruptible: bool | None = None
    """What the run says of all its tasks; None: nothing."""

    def __init__(self, *, most: int = MOST_ACTIONS) -> None:
        self.roots: dict[str, Action] = {}
        self.rng = random.Random()
        self.kept = 0
        self.fallen_out = 0
        """Actions whose record was let go, because there were too many."""
        self.nursery: trio.Nursery | None = None
        """Where what a task starts lives; None: in the nursery of the task that starts it."""
        self._most = most
        self.pace = Pace()
        """When a call lets others run: it need not wait for anything else."""
        self.keeper: Keeper | None = None
        """Writes down what they do; None: the run is not recorded."""

    # -- records -----------------------------------------------------------------------------

    def add(self, action: Action) -> None:
        """Keep the record of an action from its call on."""
        self.kept += 1
        parent = action.parent
        if parent is None:
            self.roots[action.name] = action
            return
        if parent.children is None:
            parent.children = {}
        parent.children[action.name] = action

    def begin(self, action: Action) -> None:
        action.phase = "running"
        action.started = time()
        if self.keeper is not None:
            self.keeper.note(action)

    def end(
        self,
        action: Action,
        phase: Phase,
        error: FailureSummary | None = None,
        value: Any = None,
    ) -> None:
        """Note how an action ended; `value`: what it gave back."""
        action.phase, action.error = phase, error
        action.ended = time()
        action.counts = None
        if self.keeper is not None:
            self.keeper.ends(action, phase, value)
        if self.kept > self._most and action.parent is not None and not action.children:
            self._let_go(action, action.parent)

    def _let_go(self, action: Action, parent: Action) -> None:
        if parent.children is not None and parent.children.pop(action.name, None) is not None:
            self.kept -= 1
            self.fallen_out += 1


def calls_of(run: RunContext) -> Calls:
    """Return the actions of a run: one record for all that have its context."""
    found: Calls | None = run.kept.get(_KEY)
    # Two threads may come here at once; one of the two is kept.
    return run.kept.setdefault(_KEY, Calls()) if found is None else found


def caller() -> Action | None:
    """Return the action that runs here; None outside of any run."""
    context = current_context.get()
    if type(context) is CallContext:
        return context.call
    if context is None or context.run_context is None:
        return None
    return adopt(context, context.run_context)


def adopt(context: TaskContext[Any, Any, Any], run: RunContext) -> Action:
    """Return the action that a node of a graph is, so that it may call tasks."""
    calls = calls_of(run)
    name = context.action.name
    known = calls.roots.get(name)
    if known is None:
        known = Action(name, name, calls, None, None)
        calls.add(known)
        known.phase, known.started = "running", time()
        if calls.keeper is not None:
            calls.keeper.adopt(known)
    key = f"context of {name}"
    if run.kept.get(key) is not context:
        # Another incarnation: its calls have the names that those of the last one had.
        run.kept[key] = context
        known.counts = None
        known.attempts += 1
        if known.attempts > 1 and calls.keeper is not None:
            calls.keeper.again(known)
    return known
