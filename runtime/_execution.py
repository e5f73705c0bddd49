"""One run of a graph: start what can start, hand results on, end honestly.

A node starts as soon as its inputs stand, never level by level (known fault F3), and everything
lives in one nursery: nothing outlives the run.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import trio

from ..actors._child import ActorChild, Child
from ..actors._dead_letters import DeadLetters
from ..actors._escalation import Failure
from ..actors._failure import shown
from ..actors._group import Group as Supervised
from ..actors._lifecycle import Event, State
from ..actors._spawning import current_spawner
from ..actors._supervisor import Supervisor
from ..channels._context import message_context
from ..channels._inbox import EndOfInput, Inbox
from ..channels._lane import Lane
from ..channels._lineage import Detached
from ..channels._outlet import NOTHING, Outlet
from ..channels._tracking import settle_piece
from ._cancel import cancel_nodes
from ._control import ControlDesk
from ._cycles import Cycle, watch_cycles
from ._drain import drain, report_drain
from ._drain_log import DrainLog
from ._edge import Upstream
from ._group import Group
from ._group_report import report_group
from ._group_wiring import wire_groups
from ._leaf import only_leaf
from ._look import look_at_edges, look_at_nodes
from ._no_input import empty, stopped, too_many
from ._node import Node, Readers
from ._options import UNSET
from ._report import EdgeReport, NodeReport, RunStatus, WorkflowResult, output_of
from ._settings import Settings
from ._sources import ENDED, INPUTS, RUN, is_source
from ._spawn import RunSpawner
from ._unread import UnreadInput, warn_if_it_never_read
from ._user_line import raised_at
from ._watchdog import watch_loop
from ._wiring import Cell, Wiring
from .host._asyncio_of_run import AsyncioOfRun

if TYPE_CHECKING:
    from .workspace._recording import Recording

log = logging.getLogger("trouper")


class Execution:
    """The state of one run."""

    recording: "Recording | None" = None
    """What records it; None: it is in memory alone."""

    def __init__(
        self,
        workflow: str,
        nodes: Mapping[str, Node],
        settings: Settings,
        groups: Mapping[str, Group],
        readers: Readers,
    ) -> None:
        self.workflow = workflow
        self.settings = settings
        self.dead_letters = DeadLetters()
        self.cells = Wiring(nodes, settings, self.dead_letters).build()
        self.inlets: dict[str, Outlet] = {}
        self.scope = trio.CancelScope()
        self._is_cancelled = False
        self.finished = trio.Event()
        self.sources_ended = trio.Event()
        self.status: RunStatus = "running"
        self.error: Exception | None = None
        self.failed_node: str | None = None
        self.reason = ""
        self.interrupted = False
        self.broken_off = False
        """Whether a cancel or an exit from outside went through the run."""
        self.cut_short: list[str] = []
        self.drain_log: DrainLog | None = None
        """What was known when the drain began; None: there was none."""
        self.desk = ControlDesk(self)
        self.spawner = RunSpawner(self)
        settings.asking.begin(self)
        self.started_at = self.ended_at = 0.0
        self._clock: trio.abc.Clock | None = None
        self.cycles: Mapping[str, Sequence[Cycle]] = {}
        self._readers = readers
        # By name, so that the end of a child costs the same in a graph of any size.
        self.sources = {name: cell for name, cell in self.cells.items() if is_source(cell)}
        self._supervisor: Supervisor | None = None
        self._nursery: trio.Nursery | None = None
        self.on_end: Callable[[Child], None] | None = None
        """Called when a node has ended, if the run is recorded."""
        self._declared = groups
        self.groups: Mapping[str, Supervised] = {}
        for cell in self.cells.values():
            self.desk.look_after(cell)

    # -- running -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Run the graph to its end. Never raises for a failed node: see `result`."""
        self._clock = trio.lowlevel.current_clock()
        self.started_at = trio.current_time()
        asyncio = AsyncioOfRun()
        try:
            look = UnreadInput(self.cells.values()).look
            with watch_loop(self.settings.harness.watchdog, look), self.scope:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    self._supervisor = supervisor = self._make_supervisor(nursery)
                    self.groups = wire_groups(self._declared, self.cells, supervisor, self)
                    self._open_inlets()
                    # Whoever opened the run has a turn before any node: what it reads from the
                    # start it reads from the first message on.
                    await trio.lowlevel.checkpoint()
                    self._begin(nursery)
        except BaseException as error:
            self.broken_off = True
            leaf = only_leaf(error)
            self.reason = self.reason or f"broken off by {shown(leaf)}{raised_at(leaf)}"
            raise
        finally:
            try:
                await asyncio.close()
                self._settle()
            finally:  # whatever users' functions raise there: somebody waits for the end
                self.settings.asking.end()
                self.ended_at = trio.current_time()
                self.finished.set()
                self.sources_ended.set()

    def now(self) -> float:
        """Return the time on trio's clock, in seconds; from any thread once the run has begun."""
        return trio.current_time() if self._clock is None else self._clock.current_time()

    def _make_supervisor(self, nursery: trio.Nursery) -> Supervisor:
        # Children start from the context variables that hold here. Called while another run's
        # message is handled, this run is still a run of its own (case X1).
        token = message_context.set(self.settings.message_context)
        spawns = current_spawner.set(self.spawner)
        try:
            return Supervisor(nursery, self, rng=random.Random(self.settings.harness.seed))
        finally:
            current_spawner.reset(spawns)
            message_context.reset(token)

    @property
    def supervisor(self) -> Supervisor:
        assert self._supervisor is not None
        return self._supervisor

    @property
    def is_begun(self) -> bool:
        return self._nursery is not None

    def _open_inlets(self) -> None:
        for name, cell in self.cells.items() if self.settings.is_open else ():
            if not cell.node.upstreams and isinstance(cell.child, ActorChild):
                self._open_inlet(name, cell.child, weak=False)

    def _begin(self, nursery: trio.Nursery) -> None:
        is_open = self.settings.is_open and self.status == "running"
        self.cycles = watch_cycles(self.cells, is_open=is_open)
        for cell in self.cells.values():
            for upstream, inbox in cell.collectors:
                nursery.start_soon(self._collect, cell, upstream, inbox)
        for cell in self.cells.values():
            if cell.is_complete:
                self._start(cell)

    def _start(self, cell: Cell) -> None:
        child = cell.child
        if cell.values and isinstance(child, ActorChild) and is_source(cell):
            # Batch upstreams only: receive() gives ctx.inputs once, then ends.
            lane = Lane(INPUTS, cell.node.name, child.mailbox)
            child.mailbox.add_lane(lane)
            lane.place(cell.inputs(), child.mailbox.base, None, False)
            lane.end()
        if isinstance(child.boss, Supervised):
            child.boss.admit(child)
        else:
            self.supervisor.start(child)

    async def _collect(self, cell: Cell, upstream: Upstream, inbox: Inbox) -> None:
        options = cell.node.options
        values: list[Any] = []
        most = options.max_items
        try:
            while True:
                await inbox.wait()
                while inbox.credit > 0:
                    if options.collect == "last":
                        values.clear()
                    envelope = inbox.pop()
                    values.append(envelope.payload)
                    if envelope.context.tracking:
                        settle_piece(inbox, envelope, "acknowledged")
                if most is not None and len(values) > most:
                    self._refuse(cell, too_many(cell.node.name, upstream.key, most))
                    return
        except EndOfInput:
            pass
        if options.collect == "all":
            self._deliver(cell, upstream.key, values)
        elif values:
            self._deliver(cell, upstream.key, values[0])
        elif options.default is not UNSET:
            self._deliver(cell, upstream.key, options.default)
        else:
            self._refuse(cell, empty(cell.node.name, upstream.key))

    def _deliver(self, cell: Cell, key: str, value: Any) -> None:
        cell.take(key, value)
        stands = len(cell.values) == cell.expected and cell.child.state is State.WAITING
        if stands and not self._is_cancelled:
            self._start(cell)

    def _refuse(self, cell: Cell, error: Exception) -> None:
        if cell.child.state is State.FAILED:
            return  # another of its streams was refused at the same moment
        cell.child.move(Event.GIVE_UP)
        cell.child.error = error
        self.child_failed(cell.child, error, str(error))

    # -- what the supervisor reports ---------------------------------------------------------

    def child_ended(self, child: Child) -> None:
        if self.on_end is not None:
            self.on_end(child)
        if isinstance(child, ActorChild) and child.state is not State.FAILED:
            warn_if_it_never_read(self.cells[child.name])
        for reader, key in self._readers.get(child.name, ()):
            cell = self.cells[reader]
            if child.state is State.DONE:
                self._deliver(cell, key, child.value)
            elif cell.child.state is State.WAITING:
                self._refuse(cell, stopped(cell.node.name, child.name))
        for cycle in self.cycles.get(child.name, ()):
            cycle.check()
        self.desk.down(child)
        if self.settings.asking.is_watching:
            self.settings.asking.look()
        self.sources.pop(child.name, None)
        if not self.sources:
            self.sources_ended.set()

    def child_failed(self, child: Child, error: Exception, reason: str) -> None:
        if self.on_end is not None:
            self.on_end(child)
        if self.error is None:
            self.error, self.failed_node = error, child.name
            told = shown(error)
            more = "" if reason in told else f"; {reason}"  # what was refused says it itself
            self.reason = f"{child.name!r} failed: {told}{more}"
            log.error("run %s: %s", self.settings.run_context.run_name, self.reason)
        self.desk.down(child)
        self._is_cancelled = True
        cancel_nodes(self)

    def group_failed(self, failure: Failure) -> None:
        failure.child.fail(failure.error)
        self.child_failed(failure.child, failure.error, failure.story)

    def is_ending(self) -> bool:
        return self.status != "running"

    def cancel(self, reason: str) -> None:
        """Cancel everything that runs. Idempotent, and without effect after the end."""
        if self.finished.is_set():
            return
        self.reason = self.reason or reason
        self._is_cancelled = True
        cancel_nodes(self)

    # -- draining ----------------------------------------------------------------------------

    async def drain(self, budget: float) -> None:
        """End the sources, let everything that was accepted be handled, then return.

        Args:
            budget: seconds; after half of it, and after all, what has not ended is cancelled.
        """
        await drain(self, budget)

    # -- from outside ------------------------------------------------------------------------

    def inlet(self, name: str) -> Outlet:
        """Return where messages from outside enter a node."""
        if name not in self.inlets:
            child = self.cells[name].child
            assert isinstance(child, ActorChild)
            self._open_inlet(name, child, weak=True)
        return self.inlets[name]

    def _open_inlet(self, name: str, child: ActorChild, *, weak: bool) -> None:
        options = self.cells[name].node.options
        lane = Lane(RUN, name, child.mailbox, capacity=options.capacity, overflow=options.overflow)
        lane.weak = weak
        self.inlets[name] = self.open_lane(lane, child)

    def open_lane(self, lane: Lane, child: ActorChild) -> Outlet:
        """Return the sending end of a lane from outside of the graph into a node."""
        outlet = Outlet(Detached(lane.source, into=lane.target), self.settings.harness.meter())
        child.mailbox.add_lane(lane)
        outlet.add_lane(lane)
        return outlet

    def start_soon(self, async_fn: Callable[[], Awaitable[object]], name: str) -> None:
        """Start a task that the run ends with."""
        assert self._nursery is not None
        self._nursery.start_soon(async_fn, name=name)

    # -- the end -----------------------------------------------------------------------------

    def _settle(self) -> None:
        for cell in self._all_cells():
            if cell.child.state not in ENDED:
                cell.child.move(Event.CANCEL)
        problem: BaseException | None = None
        for close in self._closers():  # a loop: an ExitStack of thousands costs a full collection
            try:
                close()
            except BaseException as error:  # all of them are closed, whatever `on_settled` raises
                problem = error
        if problem is not None:
            try:
                raise problem
            finally:
                del problem  # it and this frame would keep each other alive

    def _closers(self) -> Iterator[Callable[[], object]]:
        for cell in self._all_cells():
            if cell.child.state is not State.DONE:  # what is done is closed: most of thousands
                yield cell.child.close
            for _, inbox in cell.collectors:
                yield partial(inbox.close, "abandoned")
        yield self.desk.close

    def _all_cells(self) -> Iterator[Cell]:
        return chain(self.cells.values(), self.spawner.cells.values())

    def outcome(self) -> Literal["completed", "failed", "cancelled"]:
        if self.error is not None:
            return "failed"
        cut = self.scope.cancel_called or self.broken_off or self.cut_short
        return "cancelled" if cut else "completed"

    def result(self) -> WorkflowResult:
        """Return how the run ended; once `finished` is set."""
        outputs = {name: output_of(cell.child) for name, cell in self.cells.items()}
        return WorkflowResult(
            run_name=self.settings.run_context.run_name,
            workflow=self.workflow,
            status=self.outcome(),
            outputs={name: value for name, value in outputs.items() if value is not NOTHING},
            results=dict(self.settings.run_context.results),
            error=self.error,
            failed_node=self.failed_node,
            reason=self.reason,
            dead_letters=tuple(self.dead_letters),
            dead_letters_fallen_out=self.dead_letters.fallen_out,
            nodes=self.node_reports(self.ended_at, of_all=True),
            edges=self.edge_reports(),
            seconds=self.ended_at - self.started_at,
            cut_short=tuple(self.cut_short),
            drain=report_drain(self),
            interrupted=self.interrupted,
            groups={name: report_group(group, is_over=True) for name, group in self.groups.items()},
        )

    def node_reports(self, now: float, *, of_all: bool = False) -> dict[str, NodeReport]:
        """Return the nodes' reports.

        Args:
            of_all: measure rates over the whole run, not from one call to the next.
        """
        cells = {**self.cells, **self.spawner.cells} if self.spawner.cells else self.cells
        reports = look_at_nodes(cells, self.started_at, now, of_all=of_all)
        self.desk.complete(reports)
        self.settings.asking.complete(reports)
        return reports

    def edge_reports(self) -> tuple[EdgeReport, ...]:
        return tuple(look_at_edges(self._all_cells()))
