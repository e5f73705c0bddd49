"""What can be asked of the nodes of a run, and who is told when one has ended.

Rule 1: whatever is asked, in whatever state a node is, is done at its next message boundary, or at
once if it has none; only kill interrupts.
Rule 2: what has ended stays so: to end it again is no error, to change it is one.
"""

from collections import ChainMap
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from attrs import frozen

from ..actors._child import ActorChild, Child
from ..actors._control_point import ControlPoint
from ..actors._current import current_context
from ..actors._lifecycle import Event, State
from ..actors._watch import Down, DownReason, OnDown, Watch, WatchedDown, Watches
from ._names import suggest
from ._reconfigure import Plan, put_in_place, take_at_boundary
from ._reconfigured import Reconfigured
from ._report import NodeReport
from ._sources import ENDED, is_source, stop_source
from ._wiring import Cell

if TYPE_CHECKING:
    from ._execution import Execution


KEPT_CHANGES = 20
"""Of each node; older ones are forgotten."""


class NotRunning(RuntimeError):
    """Something was asked of a node that has ended, or of a run that ends."""


@frozen
class Trial:
    """A change that a failure takes back."""

    former: Plan
    until: float
    """Seconds on trio's clock."""


class ControlDesk:
    """Takes what is asked of the nodes of one run."""

    def __init__(self, run: "Execution") -> None:
        self._run = run
        self._spawned: dict[str, Cell] = {}
        """Nodes that are no part of the graph."""
        self._watches = Watches()
        self._waiting: dict[str, list[trio.Event]] = {}
        """What those wait for who stop a node, or change it: set at its end, too."""
        self._changes: dict[str, tuple[Reconfigured, ...]] = {}
        self._trials: dict[str, Trial] = {}

    # -- asked by whoever holds the run ------------------------------------------------------

    def pause(self, node: Any) -> None:
        """Hold a node's next message.

        Raises:
            NotRunning: it has ended, or the run drains: it would never end then.
        """
        child = self.actor(node, "pause")
        self.refuse_if_over(child, "pause")
        if self._run.status == "draining":
            raise NotRunning(
                f"pause() of {child.name!r}: the run drains, and would not end while a node is "
                "paused; leave it to run.drain(budget=...) to say how long it may take"
            )
        point = self.point(child)
        point.ask(point.asked.pause())

    def resume(self, node: Any) -> None:
        """Let a node go on. Without effect on one that is not paused, or has ended."""
        self._resume(self.actor(node, "resume"))

    def resume_all(self) -> None:
        for cell in self.cells.values():
            if isinstance(cell.child, ActorChild):
                self._resume(cell.child)

    async def stop(self, node: Any) -> None:
        """End a node after the message in hand, and wait until it has ended.

        If cancelled, the node ends all the same.

        Raises:
            NotRunning: the run drains: it ends the nodes by itself.
            ValueError: a node was to wait for its own end.
        """
        child = self.actor(node, "stop")
        if _has_ended(child):
            return
        if self.is_inside(child):
            raise ValueError(
                f"{child.name!r} can't wait for its own end; return from run(), or let another "
                "node stop it"
            )
        if self._run.status == "draining":
            raise NotRunning(
                f"stop() of {child.name!r}: the run drains, it stops every node by itself; "
                "run.kill() ends one at once"
            )
        self._begin_to_stop(child)
        if not _has_ended(child):
            await self.wait_for(child, trio.Event())

    def kill(self, node: Any) -> None:
        """End a node at once. Idempotent."""
        child = self.actor(node, "kill")
        if _has_ended(child):
            return
        point = self.point(child)
        point.ask(point.asked.kill())
        child.stopping.set()
        self._retire(child)

    # -- asked by actors ---------------------------------------------------------------------

    def watch(self, watcher: str, node: Any, on_down: OnDown | None) -> None:
        """Tell an actor, once, when a node has ended.

        Raises:
            TypeError: `on_down` can't be called.
            ValueError: there is no such node, it is the actor itself, or the actor watches it
                already with another `on_down`.
        """
        target, me = self.cell(node).child, self.cells[watcher].child
        assert isinstance(me, ActorChild)
        if target is me:
            raise ValueError(f"{watcher!r} can't watch itself; use a stop hook, or try/finally")
        if on_down is not None and not callable(on_down):
            raise TypeError(f"on_down of {watcher!r} takes a function, got {on_down!r}")
        is_new = self._watches.add(Watch(watcher, me.incarnation, target.name, on_down))
        if is_new and _has_ended(target):
            self._tell(me, _notice(target, self.seconds()))

    def unwatch(self, watcher: str, node: Any) -> None:
        """Forget a watch. Idempotent."""
        self._watches.remove(watcher, self.cell(node).child.name)

    # -- told by the run ---------------------------------------------------------------------

    def look_after(self, cell: Cell) -> None:
        """Be there for a node that is new in the run, and hold it to its rate."""
        child, rate = cell.child, cell.node.options.rate
        if child.name not in self._run.cells:
            self._spawned[child.name] = cell
        if isinstance(child, ActorChild):
            child.mailbox.desk = self
            if rate is not None:
                self.point(child).limit(rate)

    def forget(self, child: Child) -> None:
        """A node has ended that leaves no trace in the run."""
        self.down(child)
        self._spawned.pop(child.name, None)
        for known in (self._waiting, self._changes, self._trials):
            known.pop(child.name, None)
        self._watches.forget(child.name)

    def down(self, child: Child) -> None:
        """A node has ended for good."""
        watches = self._watches.of(child.name) if self._watches else ()
        if watches:
            notice = _notice(child, self.seconds())
            for watch in watches:
                watcher = self.cells[watch.watcher].child
                if isinstance(watcher, ActorChild) and watcher.incarnation == watch.incarnation:
                    self._tell(watcher, notice)
        for event in self._waiting.get(child.name, ()) if self._waiting else ():
            event.set()

    def failed(self, node: str) -> None:
        """An incarnation has failed: on probation, the former values come back (case X4)."""
        if node in self._trials:
            trial, now = self._trials.pop(node), trio.current_time()
            cell = self.cells[node]
            if now <= trial.until and isinstance(cell.child, ActorChild):
                put_in_place(cell, cell.child, trial.former, self)
                take_at_boundary(cell.child, trial.former)
                changes = trial.former.changes
                self.note(
                    cell.child, Reconfigured(at=self.seconds(), changes=changes, reverted=True)
                )

    def close(self) -> None:
        """The run has ended, and every node with it."""
        for events in self._waiting.values():
            for event in events:
                event.set()

    def complete(self, reports: dict[str, NodeReport]) -> None:
        """Put into the nodes' reports what was asked of them."""
        for name, changes in self._changes.items():
            if name in reports:
                reports[name] = msgspec.structs.replace(reports[name], reconfigured=changes)
        for name, cell in self._run.cells.items():
            control = cell.child.mailbox.control if isinstance(cell.child, ActorChild) else None
            if control is not None and control.asked.is_paused:
                reports[name] = msgspec.structs.replace(reports[name], paused=True)

    # -- inner parts that reconfiguring shares -----------------------------------------------

    def point(self, child: ActorChild) -> ControlPoint:
        """Return where an actor meets what is asked of it."""
        return child.mailbox.control or ControlPoint(child.mailbox, hear=partial(self._hear, child))

    def cell(self, node: Any) -> Cell:
        """Return the cell of a node, by name or object.

        Raises:
            ValueError: there is no such node.
        """
        cells = self.cells
        if isinstance(node, str):
            name = node
        else:
            # What `ctx.spawn` gives has a name.
            handle = getattr(node, "name", None)
            other = handle if isinstance(handle, str) and handle in cells else repr(node)
            name = next((n for n, c in cells.items() if c.node.obj is node), other)
            if name not in cells:
                raise ValueError(f"{node!r} is no node of this graph;{suggest('', cells)}")
        if name not in cells:
            raise ValueError(f"there is no node {name!r};{suggest(name, cells)}")
        return cells[name]

    def actor(self, node: Any, what: str) -> ActorChild:
        """Return an actor's child.

        Raises:
            ValueError: there is no such node, or it is a batch task.
        """
        child = self.cell(node).child
        if not isinstance(child, ActorChild):
            raise ValueError(_no_actor(child.name, what))
        return child

    def refuse_if_over(self, child: Child, what: str) -> None:
        if _has_ended(child) or self._run.finished.is_set():
            raise NotRunning(
                f"{what}() of {child.name!r}, which has ended ({child.state.value}); look at "
                "run.status() before"
            )

    def is_inside(self, child: ActorChild) -> bool:
        """Return whether this is called by the actor itself."""
        context = current_context.get()
        return (
            context is not None
            and context.action.name == child.name
            and context.run_context is self._run.settings.run_context
        )

    def seconds(self) -> float:
        """Return how long the run has gone on."""
        return trio.current_time() - self._run.started_at

    @property
    def cells(self) -> Mapping[str, Cell]:
        """All nodes: of the graph, and spawned ones."""
        return ChainMap(self._run.cells, self._spawned)

    async def wait_for(self, child: Child, event: trio.Event) -> None:
        """Wait for an event, or until the node has ended."""
        waiting = self._waiting.setdefault(child.name, [])
        waiting.append(event)
        try:
            await event.wait()
        finally:
            waiting.remove(event)

    def note(self, child: Child, change: Reconfigured) -> None:
        """Record a change that holds now."""
        kept = (*self._changes.get(child.name, ()), change)
        self._changes[child.name] = kept[-KEPT_CHANGES:]

    def try_out(self, child: Child, former: Plan, until: float) -> None:
        """Bring the former values back if the node fails before `until`."""
        self._trials[child.name] = Trial(former, until)

    # -- inner parts -------------------------------------------------------------------------

    def _resume(self, child: ActorChild) -> None:
        control = child.mailbox.control
        if control is not None and control.asked.is_paused:
            control.ask(control.asked.resume())

    def _begin_to_stop(self, child: ActorChild) -> None:
        child.stopping.set()
        point = self.point(child)
        point.ask(point.asked.stop())
        if is_source(self.cells[child.name]):
            stop_source(child, "it was asked to stop")
        never_begun = child.state is State.WAITING
        if never_begun or (child.state is State.RESTARTING and not child.mailbox.comes_again()):
            # There is no message in hand to wait for.
            self._retire(child)

    def _retire(self, child: ActorChild) -> None:
        child.retire()
        if child.state is State.WAITING and not self.cells[child.name].is_complete:
            # It waits for a batch input, and nobody else would end it.
            child.move(Event.CANCEL)
            child.close()
            self._run.child_ended(child)

    def _tell(self, watcher: ActorChild, notice: Down) -> None:
        if not _has_ended(watcher):
            point = self.point(watcher)
            point.ask(point.asked.tell(notice))

    def _hear(self, watcher: ActorChild, notice: Down) -> Any:
        """Do what an actor wants done at the end of a node; called in its own task."""
        watch = self._watches.find(watcher.name, notice.node, watcher.incarnation)
        if watch is None:
            return None
        self._watches.remove(watcher.name, notice.node)
        if watch.on_down is not None:
            return watch.on_down(notice)
        if self._run.status == "draining" and notice.reason == "normal":
            return None  # every node ends when a run drains: that breaks no pact
        raise WatchedDown(notice)


def _no_actor(task: str, what: str) -> str:
    if what in ("stop", "kill"):
        return (
            f"{task!r} is a batch task: nodes that wait for its result would wait for ever if "
            f"something were to {what} it alone; give it a limit of its own (trio.fail_after), or "
            "end the run with run.cancel()"
        )
    return (
        f"{task!r} is a batch task, which has no messages between which to {what} it; use an "
        "actor, or wf.map(function, over=...) over a stream"
    )


def _has_ended(child: Child) -> bool:
    return child.state in ENDED


def _notice(child: Child, at: float) -> Down:
    return Down(node=child.name, reason=_reason(child), at=at)


def _reason(child: Child) -> DownReason:
    if child.state is State.FAILED:
        return "failed"
    control = child.mailbox.control if isinstance(child, ActorChild) else None
    if control is not None and control.asked.ending:
        return control.asked.ending
    return "normal" if child.state is State.DONE else "cancelled"


NotRunning.__module__ = "trouper"
