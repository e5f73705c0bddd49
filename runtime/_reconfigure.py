"""Change a node while it runs: first check all of it, then change all of it."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, cast

import trio
from attrs import evolve, frozen

from ..actors._child import ActorChild
from ..actors._lifecycle import State
from ..actors._profile_config import ProfileConfig
from ..actors._rate import Rate
from ..actors._restart import Backoff
from ..actors._workers import set_limit
from ..actors._workers_bodies import resize
from ..channels._overflow import OverflowPolicy
from ..channels._rebound import rebound
from ._check_settings import setting_problems
from ._graph import lane_settings, make_graph
from ._names import refuse_unknown
from ._node import Node
from ._options import AnyOptions, Options, check_options
from ._reconfigured import Reconfigured
from ._settings import resolve_config
from ._sources import RUN
from ._wiring import Cell

if TYPE_CHECKING:
    from ._control import ControlDesk


class Changes(TypedDict, total=False):
    """What can be changed of a running actor."""

    capacity: float
    overflow: OverflowPolicy
    rate: Rate | float | None
    """None: no limit any more."""
    max_restarts: int
    period: float
    backoff: Backoff
    max_attempts: int | None
    timeout: float | None
    """None: no limit any more."""
    concurrency: int
    """Of a node that was declared with `concurrency=`."""
    config: Mapping[str, Any]
    """All of the new `ctx.config`."""
    probation: float
    """Seconds; a failure within them brings the former values back."""


_RESTART = ("max_restarts", "period", "backoff")
_BOUNDS = ("capacity", "overflow")
_AT_BOUNDARY = ("config", "max_attempts")


@frozen
class Plan:
    """Checked values, ready to be put in place."""

    node: Node
    config: ProfileConfig | None
    """None: it stays as it is."""
    changes: Mapping[str, Any]
    probation: float = 0.0

    @property
    def needs_boundary(self) -> bool:
        return any(each in self.changes for each in _AT_BOUNDARY)


def plan_changes(cells: Mapping[str, Cell], cell: Cell, given: Mapping[str, Any]) -> Plan:
    """Return what is to be done.

    Raises:
        TypeError, ValueError: a change is unknown or not legal; the text names the fix.
    """
    node = cell.node
    known = list(Changes.__annotations__)
    for option in given:
        if option in AnyOptions.__annotations__ and option not in known:
            raise TypeError(
                f"{option} of {node.name!r} can't be changed while it runs; what can: "
                f"{', '.join(known)}"
            )
    refuse_unknown(f"run.reconfigure({node.name!r})", given, known)
    changes = {key: value for key, value in given.items() if key != "probation"}
    if not changes:
        raise ValueError(f"reconfigure({node.name!r}) was given nothing to change")
    changed = evolve(node, options=_changed(node, changes))
    nodes = {name: each.node for name, each in cells.items()} | {node.name: changed}
    for problem in setting_problems(make_graph(nodes)):
        raise ValueError(problem)
    if "concurrency" in changes and "concurrency" not in node.options.given:
        raise ValueError(
            f"concurrency of {node.name!r} can't be changed while it runs, because it was declared "
            "without; declare it, concurrency=1 too, to change it later"
        )
    config = _config(node.name, changes["config"]) if "config" in changes else None
    if config is not None:
        changes["config"] = config
    return Plan(changed, config, changes, _probation(node.name, given.get("probation")))


def _changed(node: Node, changes: Mapping[str, Any]) -> Options:
    old = node.options
    policy = old.policy
    given = {key: value for key, value in changes.items() if key != "config"}
    if any(key in given for key in _BOUNDS):
        given = {"capacity": old.capacity, "overflow": old.overflow} | given
    checked = check_options("actor", node.name, {"restart": policy.restart, **given})
    restart = {key: getattr(checked.policy, key) for key in _RESTART if key in given}
    rest = {key: getattr(checked, key) for key in given if key not in _RESTART}
    names = old.given | {key for key in changes if key != "config"}
    return evolve(old, policy=evolve(policy, **restart), given=names, **rest)


def _config(node: str, config: object) -> ProfileConfig:
    if not isinstance(config, Mapping):
        raise TypeError(
            f"config of {node!r} takes a mapping, got {config!r}; to change one key, write "
            "config={**ctx.config.to_dict(), key: value}"
        )
    return resolve_config(cast("Mapping[str, Any]", config), None)


def _probation(node: str, seconds: object) -> float:
    if seconds is None:
        return 0.0
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ValueError(f"probation of {node!r} takes seconds > 0, got {seconds!r}")
    return seconds


async def reconfigure(desk: "ControlDesk", node: Any, given: Mapping[str, Any]) -> None:
    """Change a running actor; see `LiveRun.reconfigure`."""
    child = desk.actor(node, "reconfigure")
    plan = plan_changes(desk.cells, desk.cells[child.name], given)
    desk.refuse_if_over(child, "reconfigure")
    before = _before(desk.cells[child.name], child, plan)
    put_in_place(desk.cells[child.name], child, plan, desk)
    woken, is_taken = trio.Event(), False

    def take_over() -> None:
        nonlocal is_taken
        take_at_boundary(child, plan)
        desk.note(child, Reconfigured(at=desk.seconds(), changes=plan.changes))
        if plan.probation:
            desk.try_out(child, before, trio.current_time() + plan.probation)
        is_taken = True
        woken.set()

    is_alive = child.state in (State.STARTING, State.RUNNING)
    if not (is_alive and plan.needs_boundary):
        take_over()
        return
    desk.point(child).configure(take_over)
    if desk.is_inside(child):
        return  # its next boundary comes after this
    await desk.wait_for(child, woken)
    if not is_taken:
        desk.refuse_if_over(child, "reconfigure")


def put_in_place(cell: Cell, child: ActorChild, plan: Plan, desk: "ControlDesk") -> None:
    """Change what no message sees: the edges, the rate and the restart options."""
    cell.node = plan.node
    options = plan.node.options
    child.policy = options.policy
    if "rate" in plan.changes:
        desk.point(child).limit(options.rate)
    if "concurrency" in plan.changes:
        resize(child, options.concurrency)
    if "timeout" in plan.changes:
        set_limit(child.mailbox, math.inf if options.timeout is None else options.timeout)
    if any(key in plan.changes for key in _BOUNDS):
        edges = {upstream.key: upstream.edge for upstream in plan.node.upstreams}
        for lane in child.mailbox.lanes:
            if lane.source in edges:
                rebound(lane, *lane_settings(plan.node, edges[lane.source]))
            elif lane.source == RUN or not lane.source.startswith("@"):
                # From outside, or from who has spawned it. Questions have an edge of their own.
                rebound(lane, options.capacity, options.overflow)


def take_at_boundary(child: ActorChild, plan: Plan) -> None:
    """Change what the handling of a message sees; nothing is in hand."""
    if "max_attempts" in plan.changes:
        child.mailbox.max_attempts = plan.node.options.max_attempts
    if plan.config is not None:
        child.mailbox.take_config(plan.config)


def _before(cell: Cell, child: ActorChild, plan: Plan) -> Plan:
    """Return the plan that undoes another."""
    config = None
    if plan.config is not None:
        config = child.mailbox.config or cell.settings.config
    options = cell.node.options
    former: dict[str, Any] = {}
    for key in plan.changes:
        if key == "config":
            former[key] = config
        else:
            former[key] = getattr(options.policy if key in _RESTART else options, key)
    return Plan(cell.node, config, former)
