"""The arguments of a call: bound and checked before anything runs."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from .._shape import Parameter, Shape
from ._check import Check, make_argument_check

Bound = tuple[tuple[Any, ...], dict[str, Any]]

_STARS = {"rest": "*", "keywords": "**"}


@frozen
class Binder:
    """Knows the parameters of one task."""

    task: str
    signature: inspect.Signature
    """Without the context."""
    in_order: tuple[Check | None, ...] | None
    """Of each parameter, if all of them can be given in order; else None."""
    checks: Mapping[str, Check]
    names: frozenset[str]

    def bind(self, args: tuple[Any, ...], named: dict[str, Any]) -> Bound:
        """Return the arguments as the task takes them.

        Raises:
            TypeError: they don't fit its parameters or annotations; names task, argument, value.
        """
        checks = self.in_order
        if not named and checks is not None and len(args) == len(checks):
            changed: list[Any] | None = None
            for at, check in enumerate(checks):
                if check is not None:
                    given = args[at]
                    value = check(given)
                    if value is not given:
                        changed = list(args) if changed is None else changed
                        changed[at] = value
            return args if changed is None else tuple(changed), named
        return self._bind_slowly(args, named)

    def _bind_slowly(self, args: tuple[Any, ...], named: dict[str, Any]) -> Bound:
        try:
            bound = self.signature.bind(*args, **named)
        except TypeError as problem:
            raise TypeError(
                f"task {self.task!r} can't be called so: {problem}; it is "
                f"{self.task}{_show(self.signature)}"
            ) from None
        for name, check in self.checks.items():
            if name in bound.arguments:
                bound.arguments[name] = _checked(
                    self.signature.parameters[name].kind, bound.arguments[name], check
                )
        return bound.args, bound.kwargs

    def as_mapping(self, args: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        """Return bound arguments by name, with the defaults of those that were not given."""
        bound = self.signature.bind(*args, **named)
        bound.apply_defaults()
        return dict(bound.arguments)


def _checked(kind: object, value: Any, check: Check) -> Any:
    if kind is inspect.Parameter.VAR_POSITIONAL:
        return tuple(map(check, value))
    if kind is inspect.Parameter.VAR_KEYWORD:
        return {name: check(each) for name, each in value.items()}
    return check(value)


def _show(signature: inspect.Signature) -> str:
    return str(signature.replace(return_annotation=inspect.Signature.empty))


def make_binder(task: str, function: Callable[..., Any], shape: Shape) -> Binder:
    """Return the binder of a task."""
    signature = inspect.signature(function)
    if shape.takes_ctx:
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    checks = {
        each.name: check
        for each in shape.parameters
        if (check := make_argument_check(each.annotation, owner=_owner(task, each))) is not None
    }
    return Binder(
        task,
        signature,
        _in_order(shape.parameters, checks),
        checks,
        frozenset(signature.parameters),
    )


def _owner(task: str, parameter: Parameter) -> str:
    return f"argument {_STARS.get(parameter.kind, '')}{parameter.name} of task {task!r}"


def _in_order(
    parameters: Sequence[Parameter], checks: Mapping[str, Check]
) -> tuple[Check | None, ...] | None:
    if any(each.kind not in ("positional", "named") for each in parameters):
        return None
    return tuple(checks.get(each.name) for each in parameters)
