"""The record of one action: what was called, by whom, and how it went."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ...actors._failure import FailureSummary
from ...actors._run_context import ActionID
from ...actors._secret import mask_text
from ...actors._task_context import TaskContext
from ..store._records import ActionRecord

if TYPE_CHECKING:
    from ._bridge import Bridge
    from ._calls import Calls
    from ._feed import Feed
    from ._queues import Seat

Phase = Literal["waiting", "running", "completed", "failed", "cancelled"]

LONGEST_NAME = 400
"""Characters; a longer one is that of an action deep down, and a hash stands for its callers."""


class Action:
    """One call of a task, while it goes on and after. Made for each call, so kept small."""

    # Defaults of the class: most actions never set most of them.
    phase: Phase = "waiting"
    attempts = 0
    started = 0.0
    """Seconds since the epoch; 0: not yet."""
    ended = 0.0
    error: FailureSummary | None = None
    children: "dict[str, Action] | None" = None
    counts: dict[str, int] | None = None
    """Calls of this attempt, by task."""
    bridge: "Bridge | None" = None
    """How its thread calls what needs an event loop; None outside of threads."""
    feeds: "set[Feed] | None" = None
    """Streams and maps that it has opened, and that go on."""
    seat: "Seat | None" = None
    """Its place in a queue; None: its task is in none."""
    is_cached = False
    """Whether its result was taken from the cache, or from an equal call."""
    interruptible = False
    """As its task says, or the run."""
    is_noted = False
    """Whether it will be recorded, soon, how it stands."""
    mark = 0
    """Its number in the journal of a recorded run; 0: there is none."""

    def __init__(
        self, name: str, task: str, calls: "Calls", parent: "Action | None", group: str | None
    ) -> None:
        self.name = name
        self.task = task
        self.calls = calls
        self.parent = parent
        self.group = group
        self.level: int = 0 if parent is None else parent.level + 1
        """Calls below the one that has a trio task of its own: how deep the stack is."""

    def next_name(self, task: str) -> str:
        """Return the name of the next action that this one calls: the same in every attempt."""
        counts = self.counts
        if counts is None:
            counts = self.counts = {}
        counts[task] = number = counts.get(task, 0) + 1
        caller = self.name
        if len(caller) > LONGEST_NAME:
            first = caller.partition("/")[0].partition("~")[0]
            caller = f"{first}~{blake2b(caller.encode(), digest_size=12).hexdigest()}"
        return f"{caller}/{task}-{number}"

    def as_record(self, execution: int) -> ActionRecord:
        """Return how it stands, for the database. Called from another thread."""
        phase, error, started = self.phase, self.error, self.started or self.ended
        over = self.calls.interruptible
        return ActionRecord(
            execution=execution,
            name=self.name,
            parent=None if self.parent is None else self.parent.name,
            task=self.task,
            phase="running" if phase == "waiting" else phase,
            attempts=self.attempts,
            started=started,
            ended=self.ended or None,
            error_code=None if error is None else error.type,
            error=None if error is None else mask_text(error.message),
            call_group=self.group,
            queue=None if self.seat is None else self.seat.queue.name,
            is_cached=self.is_cached,
            interruptible=self.interruptible if over is None else over,
        )


class CallContext(TaskContext[Any, Any, Any]):
    """The context of a called task. What its caller's has, it has too, but for its action."""

    __slots__ = ("base", "call")

    base: TaskContext[Any, Any, Any]
    call: Action

    # One is made for each call: two fields cost a third of what all of them cost.
    def __init__(self, call: Action, base: TaskContext[Any, Any, Any]) -> None:
        _set_call(self, call)
        _set_base(self, base)

    def __repr__(self) -> str:
        return f"<context of {self.call.name}>"

    if not TYPE_CHECKING:

        @property
        def state(self) -> Any:
            return self.base.state

        @property
        def deps(self) -> Any:
            return self.base.deps

        @property
        def inputs(self) -> None:
            return None

        @property
        def config(self) -> Any:
            return self.base.config

        @property
        def run_context(self) -> Any:
            return self.base.run_context

        @property
        def attempt(self) -> int:
            return self.call.attempts

        @property
        def upstreams(self) -> tuple[str, ...]:
            caller = self.call.parent
            return () if caller is None else (caller.name,)

        @property
        def action(self) -> ActionID:
            above = self.base.action
            return ActionID(
                name=self.call.name,
                run_name=above.run_name,
                project=above.project,
                domain=above.domain,
                org=above.org,
            )


_set_call: Callable[[CallContext, Action], None] = vars(CallContext)["call"].__set__
_set_base: Callable[[CallContext, TaskContext[Any, Any, Any]], None] = vars(CallContext)[
    "base"
].__set__
CallContext.__module__ = "trouper"


def phase_of(action: Action) -> Phase:
    """Return the phase that is told of an action."""
    caller = action.parent
    if action.phase == "waiting" and caller is not None and caller.ended:
        return "cancelled"  # its caller has never awaited it, or was cancelled before
    return action.phase


class ActionReport(msgspec.Struct, frozen=True, kw_only=True):
    """One action of a run, and those that it called."""

    name: str
    task: str
    phase: Phase
    attempts: int
    started: float
    """Seconds since the epoch; 0: it has not begun."""
    ended: float
    """Likewise; 0: it has not ended."""
    error: FailureSummary | None = None
    group: str | None = None
    """Of `trouper.group`, around the call."""
    queue: str | None = None
    """Of its task, or of the run."""
    is_cached: bool = False
    """Its result was taken from the cache, or from an equal call: its body has not run."""
    interruptible: bool = False
    """As the run says, or its task."""
    children: tuple["ActionReport", ...] = ()

    @property
    def seconds(self) -> float:
        """How long it took; 0 while it goes on."""
        return max(0.0, self.ended - self.started) if self.ended else 0.0

    def walk(self) -> Sequence["ActionReport"]:
        """Return this one and all below it, callers first."""
        found: list[ActionReport] = [self]
        for each in found:
            found.extend(each.children)
        return found


ActionReport.__module__ = "trouper"


def report(root: Action) -> ActionReport:
    """Return the tree below an action; it may be as deep as tasks call tasks."""
    order = [root]
    for each in order:
        # A copy: another thread may be calling.
        order.extend(tuple(each.children.values()) if each.children else ())
    made: dict[int, ActionReport] = {}
    for each in reversed(order):
        below = tuple(each.children.values()) if each.children else ()
        # One that was called since the list above was made is not in it.
        children = tuple(made[id(child)] for child in below if id(child) in made)
        made[id(each)] = report_above(each, children)
    return made[id(root)]


def report_above(action: Action, children: tuple[ActionReport, ...]) -> ActionReport:
    """Return the report of one action, above these of its calls."""
    over = action.calls.interruptible
    return ActionReport(
        name=action.name,
        task=action.task,
        phase=phase_of(action),
        attempts=action.attempts,
        started=action.started,
        ended=action.ended,
        error=action.error,
        group=action.group,
        queue=None if action.seat is None else action.seat.queue.name,
        is_cached=action.is_cached,
        interruptible=action.interruptible if over is None else over,
        children=children,
    )
