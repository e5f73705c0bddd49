"""One node of the graph: a task or an actor with its options and edges."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, cast

from attrs import frozen

from ._annotations import check_hint
from ._arguments import Arguments, plan_arguments
from ._edge import PLAIN_EDGE, DependsOn, Edge, Upstream
from ._message_types import MessageTypes, message_types
from ._names import check_name, infer_name
from ._options import Options, check_options
from ._shape import Kind, Shape
from ._signature import inspect_callable


@frozen(eq=False, kw_only=True)
class MapSpec:
    """What makes a node a map: it calls a function for each item."""

    concurrency: int
    ordered: bool
    """Whether results come in the order of the items."""
    call: Shape
    """How the function is called; the node's own shape is that of what calls it."""
    item: object
    """The type that the function takes."""
    budget: float = 5.0
    """Seconds that a sync function's thread may go on after a cancel."""


@frozen(eq=False)
class Node:
    """What the user declared."""

    name: str
    kind: Kind
    obj: Any
    """The function, object, class or factory."""
    shape: Shape
    options: Options
    upstreams: tuple[Upstream, ...]
    """In `depends_on` order."""
    types: MessageTypes
    map: MapSpec | None = None

    @property
    def keyed(self) -> bool:
        """Whether its input is a mapping by upstream name, because there are several."""
        return len(self.upstreams) > 1

    @cached_property
    def arguments(self) -> Arguments:
        """How to fill plain parameters. Kept, because the check and every execution ask for it.

        Raises:
            TypeError: the upstreams can't fill them.
        """
        return plan_arguments(self.shape, [upstream.key for upstream in self.upstreams])

    @cached_property
    def sole_argument(self) -> Literal["ctx", "inputs"] | None:
        """What a plain async function is called with, if that is one argument and nothing else.

        None: its call needs a plan. Kept, because most tasks are such functions.
        """
        shape = self.shape
        if self.map is not None or shape.entry != "call" or shape.is_factory or not shape.is_async:
            return None
        if not shape.parameters:
            return "ctx" if shape.takes_ctx else None
        first, plan = shape.parameters[0], self.arguments
        if shape.takes_ctx or plan.keyed or len(plan.positional) + len(plan.named) != 1:
            return None
        is_first = bool(plan.positional) or (first.kind == "named" and first.name in plan.named)
        return "inputs" if is_first else None


Readers = Mapping[str, Sequence[tuple[str, str]]]
"""Batch task -> who takes its result, by which key."""


def readers_of(nodes: Mapping[str, Node]) -> Readers:
    """Return who takes the result of each batch task."""
    readers: dict[str, list[tuple[str, str]]] = {}
    for node in nodes.values():
        for upstream in node.upstreams:
            if nodes[upstream.node].kind == "task":
                readers.setdefault(upstream.node, []).append((node.name, upstream.key))
    return readers


def make_node(
    obj: Any, kind: Kind | None, given: Mapping[str, Any], name_of: Callable[[Any], str | None]
) -> Node:
    """Return the node for `obj`.

    Args:
        kind: what the user says it is; None: what it looks like.
        given: options as given, `name`, `depends_on` and `type` included.
        name_of: the node name of an object that was added before, else None.

    Raises:
        TypeError, ValueError: the object or an option is not legal; the text names the fix.
    """
    shape = inspect_callable(obj, as_kind=kind)
    explicit = given.get("name")
    name = check_name(infer_name(obj) if explicit is None else explicit)
    rest = {key: value for key, value in given.items() if key not in ("name", "depends_on", "type")}
    if shape.kind == "task":
        check_executor(name, shape, given)
    types = {"output_type": given["type"]} if "type" in given else {}
    if types:
        check_hint(given["type"], f"type of {name!r}")
    return Node(
        name=name,
        kind=shape.kind,
        obj=obj,
        shape=shape,
        options=check_options(shape.kind, name, rest),
        upstreams=tuple(upstreams_of(name, given.get("depends_on"), name_of)),
        types=message_types(shape, **types),
    )


def check_executor(name: str, shape: Shape, given: Mapping[str, Any]) -> None:
    """Refuse options of a sync function where they have no effect.

    Raises:
        TypeError: with the fix.
    """
    if shape.is_async:
        for option, why in (("shutdown", "whose thread it waits for"), ("executor", "")):
            if option in given:
                raise TypeError(
                    f"{option} of {name!r} has an effect only on a sync task"
                    f"{why and ', '}{why}; leave it out"
                )
    if given.get("executor") != "process":
        return
    if shape.takes_ctx:
        raise TypeError(
            f"{name!r} takes a context, which can't go to another process: with executor='process' "
            "write a function of plain parameters, which are filled from its upstreams"
        )
    if "shutdown" in given:
        raise TypeError(
            f"shutdown of {name!r} has no effect with executor='process', whose process is killed "
            "at once when it is cancelled; leave it out"
        )


def upstreams_of(
    node: str,
    depends_on: DependsOn,
    name_of: Callable[[Any], str | None],
    *,
    option: str = "depends_on",
) -> Iterable[Upstream]:
    """Yield the resolved entries of `depends_on`.

    Args:
        option: what the user calls it.

    Raises:
        TypeError, ValueError: an entry is not legal, or stands there twice.
    """
    seen: set[str] = set()
    for entry, edge in _entries(depends_on):
        key = entry if isinstance(entry, str) else name_of(entry)
        key = _inferred(entry, f"{option} of {node!r}") if key is None else key
        if key in seen:
            raise ValueError(f"{node!r} names its upstream {key!r} twice; leave one out")
        seen.add(key)
        if not isinstance(edge, Edge):
            raise TypeError(
                f"{option} of {node!r} maps {key!r} to {edge!r}; it takes trouper.Edge(...)"
            )
        upstream, _, output = key.partition(".")
        yield Upstream(key, upstream, output or None, edge)


def _inferred(entry: object, what: str) -> str:
    """Return what something that was not added would be called, for the check to tell."""
    if not (callable(entry) or hasattr(entry, "run") or hasattr(entry, "execute")):
        raise TypeError(f"{what} takes names and what was added to the workflow, got {entry!r}")
    return infer_name(entry)


def _entries(depends_on: DependsOn) -> Iterable[tuple[Any, object]]:
    """Yield names or objects with their settings. Only a mapping's keys have to be hashable."""
    if isinstance(depends_on, Mapping):
        return cast("Mapping[Any, object]", depends_on).items()
    if depends_on is None:
        return ()
    if isinstance(depends_on, str) or not isinstance(depends_on, Iterable):
        return [(depends_on, PLAIN_EDGE)]
    return [(entry, PLAIN_EDGE) for entry in cast("Iterable[Any]", depends_on)]
