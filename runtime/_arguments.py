"""Which upstream fills which plain parameter: decided once, when the graph is built.

Rule 1: the only upstream fills the only required parameter, whatever the two are called.
Rule 2: otherwise an upstream fills the parameter of its name (`-` and `.` read as `_`).
Rule 3: the upstreams that are left fill the parameters that are left, in `depends_on` order, if
they are as many as the required ones, or reach past them into those with defaults.
Rule 4: `**kwargs` takes by name what is left; `*args` takes it in order, and then rule 2 is off.
Rule 5: a function without parameters gets nothing: it only waits for its upstreams.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from ._annotations import show_type
from ._shape import Parameter, Shape


@attrs.frozen
class Arguments:
    """How to call a body that takes plain parameters."""

    positional: tuple[str, ...]
    """Upstream names, in the order of the arguments."""
    named: Mapping[str, str]
    """Parameter name to upstream name."""
    types: Mapping[str, object]
    """What each upstream's value has to be, by upstream name."""
    keyed: bool
    """The inputs are a mapping by upstream name, because there are several."""

    def bind(self, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments for one call.

        Args:
            inputs: `ctx.inputs`: the bare value of one upstream, the mapping of several.
        """
        if not self.keyed:
            return (inputs,) * len(self.positional), dict.fromkeys(self.named, inputs)
        named = {name: inputs[upstream] for name, upstream in self.named.items()}
        return tuple(inputs[upstream] for upstream in self.positional), named


def plan_arguments(shape: Shape, upstreams: Sequence[str]) -> Arguments:
    """Return which upstream fills which plain parameter of `shape`; the rules stand above.

    Raises:
        TypeError: a required parameter gets nothing, or an upstream finds no parameter.
    """
    if not shape.parameters:
        return Arguments((), {}, {}, len(upstreams) > 1)
    taken = _by_name(shape, upstreams)
    left = [each for each in upstreams if each not in taken.values()]
    free = [each for each in _fixed(shape) if each.name not in taken]
    chosen = _choose(free, len(left))
    spare = left[len(chosen) :]
    if any(each.required for each in free if each not in chosen) or not _fits(shape, spare, taken):
        raise TypeError(_mismatch(shape, upstreams))
    taken |= {each.name: upstream for each, upstream in zip(chosen, left, strict=False)}
    return _arguments(shape, upstreams, taken, spare)


def _fixed(shape: Shape) -> list[Parameter]:
    return [each for each in shape.parameters if each.kind in ("positional", "named", "keyword")]


def _variable(shape: Shape, kind: str) -> Parameter | None:
    return next((each for each in shape.parameters if each.kind == kind), None)


def _as_parameter(upstream: str) -> str:
    return upstream.replace("-", "_").replace(".", "_")


def _by_name(shape: Shape, upstreams: Sequence[str]) -> dict[str, str]:
    """Return the parameters whose upstream is known by name; parameter name to upstream."""
    fixed = _fixed(shape)
    alone = len(upstreams) == 1 and sum(each.required for each in fixed) == 1
    if alone or _variable(shape, "rest"):
        return {}
    names = {each.name for each in fixed if each.kind != "positional"}
    taken: dict[str, str] = {}
    for upstream in upstreams:
        name = _as_parameter(upstream)
        if name in taken:
            raise TypeError(
                f"{upstream!r} and {taken[name]!r} would both fill {name!r} of {shape.label}; "
                f"rename one of the two nodes with name="
            )
        if name in names:
            taken[name] = upstream
    return taken


def _choose(free: Sequence[Parameter], count: int) -> Sequence[Parameter]:
    required = [each for each in free if each.required]
    return required if len(required) == count else free[:count]


def _fits(shape: Shape, spare: Sequence[str], taken: Mapping[str, str]) -> bool:
    if not spare or _variable(shape, "rest"):
        return True
    names = [_as_parameter(each) for each in spare]
    distinct = len({*names, *taken}) == len(names) + len(taken)
    return _variable(shape, "keywords") is not None and distinct


def _arguments(
    shape: Shape, upstreams: Sequence[str], taken: dict[str, str], spare: Sequence[str]
) -> Arguments:
    rest, keywords = _variable(shape, "rest"), _variable(shape, "keywords")
    in_order = [
        each
        for each in _fixed(shape)
        if each.name in taken and (each.kind == "positional" or (rest and each.kind == "named"))
    ]
    positional = [taken[each.name] for each in in_order]
    types = {taken[each.name]: each.annotation for each in _fixed(shape) if each.name in taken}
    named = {name: up for name, up in taken.items() if up not in positional}
    if rest:
        positional += spare
        types |= dict.fromkeys(spare, rest.annotation)
    elif keywords:
        named |= {_as_parameter(each): each for each in spare}
        types |= dict.fromkeys(spare, keywords.annotation)
    return Arguments(tuple(positional), named, types, len(upstreams) > 1)


def _mismatch(shape: Shape, upstreams: Sequence[str]) -> str:
    parameters = ", ".join(_show(each) for each in shape.parameters)
    have = ", ".join(repr(each) for each in upstreams)
    label = f"{shape.label}({parameters})"
    if not have:
        return (
            f"{label} needs an input but has no upstream; name one in depends_on=, "
            f"or give its parameters defaults; the context comes first, under the name `ctx`"
        )
    return (
        f"{label} can't be filled from its upstreams {have}; name its parameters after them, "
        f"or take `ctx` alone and read ctx.inputs"
    )


def _show(parameter: Parameter) -> str:
    star = {"rest": "*", "keywords": "**"}.get(parameter.kind, "")
    hint = "" if parameter.annotation is Any else f": {show_type(parameter.annotation)}"
    default = "" if parameter.required or star else " = ..."
    return f"{star}{parameter.name}{hint}{default}"
