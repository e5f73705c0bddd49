"""A graph of tasks and actors, and the ways to run it."""

from collections.abc import Collection, Mapping
from typing import Any, Unpack

from ..actors._run_context import RunContext
from ._alone import among_runs
from ._declaring import Declares
from ._execution import Execution
from ._graph_check import ensure_graph
from ._group import Group, GroupOptions, refuse_significant
from ._map import make_map
from ._mermaid import to_mermaid
from ._names import check_name
from ._nested import Nested, copy_groups, resolve_names, sinks_of, take_over
from ._node import Node, Readers, make_node, readers_of, upstreams_of
from ._report import WorkflowResult
from ._run import LiveRun
from ._settings import (
    ExecuteOptions,
    Harness,
    Settings,
    check_option_types,
    check_options,
    generate_run_name,
    resolve_config,
)
from ._shape import Kind
from ._trio_only import refuse_outside_trio


class Workflow(Declares):
    """Declare nodes with `@wf.task`, `@wf.actor` and `wf.add(obj)`; then `await wf.execute()`.

    Nothing runs, and nothing touches an event loop, until it is executed or opened; each execution
    is a run of its own.
    """

    def __init__(self, name: str = "workflow") -> None:
        self.name = check_name(name, "workflow")
        self._nodes: dict[str, Node] = {}
        self._groups: dict[str, Group] = {}
        self._nested: dict[str, Nested] = {}
        self._inside = ""
        """The workflow that this one is a node of."""
        self._checked = (-1, -1)
        self._readers: Readers = {}

    @property
    def nodes(self) -> Mapping[str, Node]:
        """By name; those of a workflow that is a node as `name/node`."""
        return dict(self._resolved())

    def _resolved(self) -> Mapping[str, Node]:
        return resolve_names(self._nodes, self._nested)

    # -- building ----------------------------------------------------------------------------

    def _declare(self, obj: tuple[Any, ...], kind: Kind | None, options: Mapping[str, Any]) -> Any:
        return self.add_member(obj, kind, options)

    def _declare_map(
        self,
        fn: tuple[Any, ...],
        over: Any,
        concurrency: int,
        ordered: bool,
        options: Mapping[str, Any],
    ) -> Any:
        return self.add_map(fn, over, concurrency, ordered, options)

    def add_map(
        self,
        fn: tuple[Any, ...],
        over: Any,
        concurrency: int,
        ordered: bool,
        options: Mapping[str, Any],
        group: Group | None = None,
    ) -> Any:
        """Add a map, perhaps as the member of a group. Called by the group itself."""

        def add(function: Any) -> Any:
            node = make_map(
                function,
                over,
                self._nodes,
                self._nested,
                self._name_of,
                concurrency=concurrency,
                ordered=ordered,
                given=options,
            )
            self._take(node, group)
            return function

        return add(*fn) if fn else add

    def group(self, name: str, **options: Unpack[GroupOptions]) -> Group:
        """Return a group of supervised nodes: `group.actor`, `.task`, `.map`, `.add`, `.group`.

        Raises:
            TypeError, ValueError: an option is not legal; the text names the fix.
        """
        return Group(self, name, options, None)

    def holds(self, other: "Workflow") -> bool:
        """Return whether another workflow is a node of this one."""
        return any(each.obj is other for each in self._nested.values())

    @property
    def groups(self) -> Mapping[str, Group]:
        return dict(self._groups)

    def add_group(self, group: Group) -> None:
        """Take a group, with those inside of it. Called by the group itself."""
        self._refuse_taken(group.name)
        self._groups[group.name] = group

    def add_member(
        self,
        obj: tuple[Any, ...],
        kind: Kind | None,
        options: Mapping[str, Any],
        group: Group | None = None,
    ) -> Any:
        """Add a node, perhaps as the member of a group. Called by the group itself."""
        if obj:
            (bare,) = obj
            self._add(bare, kind, options, group)
            return bare

        def decorate(decorated: Any) -> Any:
            self._add(decorated, kind, options, group)
            return decorated

        return decorate

    def _refuse_taken(self, name: str) -> None:
        taken: Mapping[str, Collection[str]] = {
            "node": {*self._nodes, *self._nested},
            "group": self._groups,
        }
        what = next((what for what, names in taken.items() if name in names), "")
        if what:
            raise ValueError(
                f"{self.name!r} already has a {what} {name!r}; give one of the two another name="
            )

    def _add(
        self,
        obj: Any,
        kind: Kind | None,
        options: Mapping[str, Any],
        group: Group | None = None,
    ) -> None:
        if isinstance(obj, Workflow) and kind is None:
            self._nest(obj, options, group)
        else:
            self._take(make_node(obj, kind, options, self._name_of), group)

    def _nest(self, inner: "Workflow", given: Mapping[str, Any], group: Group | None) -> None:
        name = check_name(given.get("name") or inner.name)
        self._refuse_taken(name)
        unknown = sorted(set(given) - {"name", "depends_on"})
        if unknown:
            raise TypeError(
                f"{name!r} is a workflow, which takes name and depends_on only; give "
                f"{unknown[0]!r} to its nodes"
            )
        if inner is self or not inner._nodes:
            why = (
                "can't be a node of itself" if inner is self else "has no nodes yet: add them first"
            )
            raise ValueError(f"the workflow {inner.name!r} {why}")
        upstreams = tuple(upstreams_of(name, given.get("depends_on"), self._name_of))
        resolved = inner._resolved()
        if upstreams and all(node.upstreams for node in resolved.values()):
            raise ValueError(
                f"{name!r} has no node without upstreams, which would take what depends_on names; "
                "leave depends_on out"
            )
        copies = copy_groups(name, inner._groups, self, group)
        for copy in copies:
            self._groups[copy.name] = copy
        grouped = {member for copy in copies for member in copy.members}
        for node in take_over(name, inner._nodes, resolved, upstreams):
            self._nodes[node.name] = node
            if group is not None and node.name not in grouped:
                group.members.append(node.name)
        for each in inner._nested.values():
            sinks = [f"{name}/{sink}" for sink in each.sinks]
            self._nested[f"{name}/{each.name}"] = Nested(f"{name}/{each.name}", None, sinks)
        self._nested[name] = Nested(name, inner, sinks_of(name, resolved))
        inner._inside = self.name

    def _take(self, node: Node, group: Group | None = None) -> None:
        self._refuse_taken(node.name)
        if self._inside:
            raise ValueError(
                f"{self.name!r} is a node of {self._inside!r} already, which would not hear of "
                f"{node.name!r}; add all of its nodes before"
            )
        if group is None:
            refuse_significant(node)
        else:
            group.check_member(node)
            group.members.append(node.name)
        self._nodes[node.name] = node

    def _name_of(self, obj: Any) -> str | None:
        known: tuple[Nested | Node, ...] = (*self._nested.values(), *self._nodes.values())
        return next((each.name for each in known if each.obj is obj), None)

    def check(self) -> None:
        """Check the graph without running anything.

        Raises:
            GraphError: it can't run; names the nodes and the fix of every problem.
        """
        # Nodes are only ever added: a graph that passed stays right until the next one.
        size = (len(self._nodes), len(self._groups))
        if self._checked != size:
            ensure_graph(self._resolved(), self._groups)
            self._checked = size
            self._readers = readers_of(self._resolved())

    def to_mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart."""
        return to_mermaid(self._resolved(), self._groups)

    # -- running -----------------------------------------------------------------------------

    async def execute(self, **options: Unpack[ExecuteOptions]) -> WorkflowResult:
        """Run the graph to its end and return how it ended; never raises for a failed node.

        Args:
            run: a workspace's run, which begins and ends with this execution: `experiment.run()`,
                or `run.resume()` and `run.rerun()` of one that has ended.
            run_context: the run to belong to, as `run.start()` opens one; None: a new one, in
                memory.
            profile_config: `ctx.config`: a resolved profile, or a plain mapping. Not beside a run,
                which has its own.
            config: keys that win over those of `profile_config`.
            deps: `ctx.deps`.
            state: `ctx.state`, shared by all tasks of this execution.
            harness: for tests: what decides time slices, jitter and faults.

        Raises:
            GraphError: the graph can't run.
            ValueError: `run`, `run_context` and a configuration contradict one another.
            StoreError: `run` goes on, has ended, or can't be recorded; nothing has run.
            EnvVarsConflict: a run with `env_vars` goes on in this process.
            RuntimeError: it is not trio that runs here; the text names what serves there.
            TypeError: there is no such option, or one is of a wrong type.
        """
        refuse_outside_trio("wf.execute()", "`await asyncio.to_thread(trouper.run, wf)`")
        check_options("wf.execute", options)
        execution = self.prepare(**options)
        with among_runs(execution.settings.run_context):
            if execution.recording is not None:
                return await execution.recording.execute(execution)
            await execution.run()
            return execution.result()

    def open(self, **options: Unpack[ExecuteOptions]) -> LiveRun:
        """Return the live handle of a new run: `async with wf.open() as run:`.

        Nodes without an upstream take messages from `run.send` until the run drains, which leaving
        the block does. Arguments and errors: as `execute`.
        """
        check_options("wf.open", options)
        return LiveRun(self.prepare(**options, is_open=True))

    def prepare(self, *, is_open: bool = False, **options: Unpack[ExecuteOptions]) -> Execution:
        """Check the graph and return a run of it that has not begun.

        Args:
            is_open: whether nodes without an upstream take messages from outside.
            options: as in `execute`.
        """
        self.check()
        check_option_types(options)
        run_context, recording = options.get("run_context"), None
        if options.get("run") is not None or (run_context is not None and run_context.kept):
            from .workspace._recording import recording_for

            recording = recording_for(options)
        if run_context is not None and run_context.mode != "local":
            raise NotImplementedError(
                f"mode={run_context.mode!r}: there is no engine for it yet; use mode='local'"
            )
        if recording is None:
            config = resolve_config(options.get("profile_config"), options.get("config"))
        else:
            run_context, config = recording.run_context, recording.config
        settings = Settings(
            state=options.get("state"),
            deps=options.get("deps"),
            config=config,
            run_context=run_context or RunContext(run_name=generate_run_name(self.name)),
            is_open=is_open,
            harness=options.get("harness") or Harness(),
        )
        execution = Execution(self.name, self._resolved(), settings, self._groups, self._readers)
        execution.recording = recording
        return execution


Workflow.__module__ = "trouper"
