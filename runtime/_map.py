"""`wf.map(fn, over=...)`: the node that calls a function for each item of a list or a stream.

Over a batch task it is a task that takes a list and gives a list; over an actor it is an actor that
sends one result for each message.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import GenericAlias
from typing import Any

import attrs

from ._edge import Upstream
from ._message_types import MessageTypes
from ._names import check_name, infer_name, refuse_unknown, suggest
from ._nested import Nested, resolve
from ._node import MapSpec, Node, check_executor, upstreams_of
from ._options import MapOptions, Options, check_choice, check_options
from ._shape import Kind, Parameter, Shape
from ._signature import inspect_callable


def make_map(
    function: Any,
    over: Any,
    nodes: Mapping[str, Node],
    nested: Mapping[str, Nested],
    name_of: Callable[[Any], str | None],
    *,
    concurrency: int,
    ordered: bool,
    given: Mapping[str, Any],
) -> Node:
    """Return the node of a map.

    Args:
        over: the upstream: a name or object, or a mapping from one to its `Edge`.
        given: the other options.

    Raises:
        TypeError, ValueError: the function, the upstream or an option is not legal; with the fix.
    """
    shape = inspect_callable(function, as_kind="task")
    explicit = given.get("name")
    name = check_name(infer_name(function) if explicit is None else explicit)
    named = upstreams_of(name, over, name_of, option="over")
    upstream = _single(name, [each for up in named for each in resolve(up, nodes, nested)], nodes)
    kind = nodes[upstream.node].kind
    item = _item_parameter(name, shape)
    options = _options(name, kind, shape, _checked(name, concurrency, ordered), ordered, given)
    spec = MapSpec(
        concurrency=concurrency,
        ordered=ordered,
        call=shape,
        item=Any if item is None else item.annotation,
        budget=options.shutdown,
    )
    if kind == "actor":
        options = attrs.evolve(options, concurrency=concurrency)
        if options.policy.restart == "temporary" and "shutdown" not in given:
            # Nothing comes again, so that the first failure ends the run at once (case P13).
            options = attrs.evolve(options, shutdown=0.0)
    return Node(
        name=name,
        kind=kind,
        obj=function,
        shape=attrs.evolve(
            shape, kind=kind, is_async=True, is_generator=False, takes_ctx=True, parameters=()
        ),
        options=options,
        upstreams=(upstream,),
        types=_types(kind, shape, spec),
        map=spec,
    )


def _single(name: str, found: Sequence[Upstream], nodes: Mapping[str, Node]) -> Upstream:
    if len(found) != 1:
        raise ValueError(
            f"over of {name!r} names {len(found)} upstreams; a map goes over one: join several in "
            "an actor between them"
        )
    if found[0].node not in nodes:
        raise ValueError(
            f"{name!r} maps over {found[0].key!r}, which is no node yet: declare it before the map,"
            f" because its kind decides what the map is;{suggest(found[0].node, nodes)}"
        )
    return found[0]


def _item_parameter(name: str, shape: Shape) -> Parameter | None:
    """Return the parameter that takes the item; None: it stands in `ctx.inputs`."""
    plain = [each for each in shape.parameters if each.kind in ("positional", "named")]
    needed = [each for each in shape.parameters if each.required]
    if len(needed) > 1 or (needed and needed[0] not in plain):
        takes = ", ".join(repr(each.name) for each in needed)
        raise TypeError(
            f"{name!r} needs {takes}, but a map calls it with one item; take one parameter, and "
            "give the others defaults"
        )
    if not plain and not shape.takes_ctx:
        raise TypeError(f"{name!r} takes nothing, but a map calls it with one item; take it")
    return next(iter(needed or plain), None)


def _checked(name: str, concurrency: object, ordered: object) -> int:
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise ValueError(f"concurrency of {name!r} must be an int >= 1, got {concurrency!r}")
    if not isinstance(ordered, bool):
        raise TypeError(f"ordered of {name!r} takes a bool, got {ordered!r}")
    if not ordered and concurrency == 1:
        raise ValueError(
            f"ordered=False of {name!r} has an effect only with concurrency > 1; add that, or "
            "leave ordered out"
        )
    return concurrency


def _options(
    name: str,
    kind: Kind,
    shape: Shape,
    concurrency: int,
    ordered: bool,
    given: Mapping[str, Any],
) -> Options:
    refuse_unknown(f"map {name!r}", given, sorted(MapOptions.__annotations__))
    # Over a stream, `shutdown` is how long the others may go on when one call has failed.
    of_call = ("executor", "shutdown") if kind == "task" else ("executor",)
    check_executor(name, shape, {key: given[key] for key in of_call if key in given})
    rest = {key: value for key, value in given.items() if key != "name"}
    if kind == "task":
        return check_options(kind, name, rest)
    if ordered and concurrency > 1 and rest.get("redelivery_delay") is not None:
        raise ValueError(
            f"redelivery_delay of {name!r} lets other messages overtake; add ordered=False, or "
            "leave it out"
        )
    executor = rest.pop("executor", "thread")
    check_choice(name, "executor", executor)
    options = check_options(kind, name, rest)
    if "max_attempts" in rest and options.policy.restart == "temporary":
        raise ValueError(
            f"max_attempts of {name!r} has no effect with restart='temporary': the first failure "
            "of a call ends the run; leave one of the two out"
        )
    return attrs.evolve(options, executor=executor)


def _types(kind: Kind, shape: Shape, spec: MapSpec) -> MessageTypes:
    if kind == "actor":
        return MessageTypes(spec.item, shape.returns)
    return MessageTypes(GenericAlias(Iterable, (spec.item,)), GenericAlias(list, (shape.returns,)))
