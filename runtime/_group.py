"""Groups of a workflow's nodes: who is stopped and started together when one of them fails."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypedDict, Unpack

from ..actors._group_policy import GroupPolicy, GroupRestart
from ..actors._strategy import AutoShutdown, Strategy
from ._declaring import Declares
from ._names import check_name, refuse_unknown
from ._node import Node
from ._shape import Kind


class GroupOptions(TypedDict, total=False):
    """Options of a group."""

    strategy: Strategy
    """Who is started again with a member that failed: nobody else, all, or those after it."""
    max_restarts: int
    """Failures of all members within `period` that are answered by a restart; one more escalates:
    the members are stopped, and the group around this one decides; without one, the run fails."""
    period: float
    """Seconds."""
    restart: GroupRestart
    """Whether the group around this one starts it again when it has given up."""
    auto_shutdown: AutoShutdown
    """Whether it ends when one, or all, of its significant members have ended."""
    shutdown: float
    """Seconds for all members together to stop; by default only their own ones hold."""
    significant: bool
    """Whether the group around this one may end with it."""


class Builder(Protocol):
    """The workflow, as its groups see it."""

    def add_member(
        self, obj: tuple[Any, ...], kind: Kind | None, options: Mapping[str, Any], group: "Group"
    ) -> Any: ...

    def add_map(
        self,
        fn: tuple[Any, ...],
        over: Any,
        concurrency: int,
        ordered: bool,
        options: Mapping[str, Any],
        group: "Group",
    ) -> Any: ...

    def add_group(self, group: "Group") -> None: ...


class Group(Declares):
    """Members of a workflow under one supervisor; made by `wf.group(...)` or `group.group(...)`.

    They are ordinary nodes: edges cross the border of a group as they like. Start order is the
    order of declaration, stops go the other way round.
    """

    def __init__(
        self, workflow: Builder, name: str, options: Mapping[str, Any], parent: "Group | None"
    ) -> None:
        self.name = check_name(name, "group")
        self.policy = _check_policy(self.name, options, parent)
        self.parent = parent
        self.members: list[str | Group] = []
        """Node names and groups, in start order."""
        self._workflow = workflow
        workflow.add_group(self)
        if parent is not None:
            parent.members.append(self)

    def _declare(self, obj: tuple[Any, ...], kind: Kind | None, options: Mapping[str, Any]) -> Any:
        return self._workflow.add_member(obj, kind, options, self)

    def _declare_map(
        self,
        fn: tuple[Any, ...],
        over: Any,
        concurrency: int,
        ordered: bool,
        options: Mapping[str, Any],
    ) -> Any:
        return self._workflow.add_map(fn, over, concurrency, ordered, options, self)

    def group(self, name: str, **options: Unpack[GroupOptions]) -> "Group":
        """Add a group inside of this one.

        Raises:
            TypeError, ValueError: an option is not legal; the text names the fix.
        """
        return Group(self._workflow, name, options, self)

    def copied(self, name: str, workflow: Builder, parent: "Group | None") -> "Group":
        """Return the group as one of another workflow, without members yet."""
        copy = Group.__new__(Group)
        copy.name, copy.policy, copy.parent = name, self.policy, parent
        copy.members = []
        copy._workflow = workflow
        return copy

    def check_member(self, node: Node) -> None:
        """Refuse a member whose significance would have no effect (case S13)."""
        if node.options.significant and self.policy.auto_shutdown == "never":
            raise ValueError(
                f"significant=True of {node.name!r} has no effect: group {self.name!r} never shuts "
                "down by itself; give it auto_shutdown='any_significant' or 'all_significant'"
            )


def refuse_significant(node: Node) -> None:
    """Refuse significance where there is no group."""
    if node.options.significant:
        raise ValueError(
            f"significant=True of {node.name!r} has an effect only in a group with auto_shutdown; "
            "leave it out, or add the node with group.actor(...)"
        )


def _check_policy(name: str, options: Mapping[str, Any], parent: Group | None) -> GroupPolicy:
    refuse_unknown(f"group {name!r}", options, sorted(GroupOptions.__annotations__))
    try:
        policy = GroupPolicy(**options)
    except (TypeError, ValueError) as problem:
        raise type(problem)(f"group {name!r}: {problem}") from None
    if parent is None and policy.restart == "temporary":
        raise ValueError(
            f"group {name!r}: restart='temporary' has an effect only inside another group; here "
            "the run fails when it gives up: leave it out"
        )
    if policy.significant and (parent is None or parent.policy.auto_shutdown == "never"):
        raise ValueError(
            f"group {name!r}: significant=True has an effect only inside a group with "
            "auto_shutdown; leave it out"
        )
    return policy


def group_problems(groups: Mapping[str, Group], nodes: Mapping[str, Node]) -> Iterator[str]:
    """Yield what is wrong with groups that are complete."""
    for group in groups.values():
        if not group.members:
            yield f"group {group.name!r} has no members; add some, or leave it out"
            continue
        auto = group.policy.auto_shutdown
        significant = [
            nodes[each].options.significant if isinstance(each, str) else each.policy.significant
            for each in group.members
        ]
        if auto != "never" and not any(significant):
            yield (
                f"group {group.name!r} has auto_shutdown={auto!r}, but no significant member; give "
                "one significant=True, or leave auto_shutdown out"
            )


Group.__module__ = "trouper"
