"""What `cache=` of a task can be."""

from collections.abc import Iterable
from typing import Any, Literal, cast, get_args

from attrs import field, frozen

from .._names import suggest

CacheBehavior = Literal["auto", "override", "disable"]
"""`auto`: taken if it is there; `override`: computed each time, and kept; `disable`: neither."""


def _names(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise TypeError(f"ignored_inputs takes names, got {names!r}; write ({names!r},)")
    return tuple(names)


def _check_behavior(_policy: object, _attribute: object, value: object) -> None:
    if value not in get_args(CacheBehavior):
        words = ", ".join(get_args(CacheBehavior))
        raise ValueError(f"behavior can't be {value!r}; choose one of: {words}")


def _check_str(_policy: object, attribute: Any, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{attribute.name} takes a str, got {value!r}")


@frozen(kw_only=True)
class CachePolicy:
    """How the results of a task are cached: `@env.task(cache=trouper.CachePolicy(...))`."""

    behavior: CacheBehavior = field(default="auto", validator=_check_behavior)
    version: str | None = field(default=None, validator=_check_str)
    """Stands for the task's code: the same as long as this is. None: the code itself counts."""
    ignored_inputs: tuple[str, ...] = field(default=(), converter=_names)
    """Parameters that don't count: those by which the result is no other."""
    salt: str = field(default="", validator=_check_str)
    """Another one, other results."""


def policy_of(owner: str, cache: object) -> CachePolicy | None:
    """Return the policy that an option says; None: nothing is cached.

    Raises:
        TypeError, ValueError: it is none; with the fix.
    """
    if isinstance(cache, CachePolicy):
        return None if cache.behavior == "disable" else cache
    if not isinstance(cache, str):
        raise TypeError(f"cache of {owner} takes a word or a trouper.CachePolicy, got {cache!r}")
    if cache not in get_args(CacheBehavior):
        words = ", ".join(get_args(CacheBehavior))
        raise ValueError(f"cache of {owner} can't be {cache!r}; choose one of: {words}")
    if cache == "disable":
        return None
    return CachePolicy(behavior=cast("CacheBehavior", cache))


def check_policy(task: str, policy: CachePolicy, parameters: Iterable[str]) -> None:
    """Refuse names that are no parameters of the task.

    Raises:
        ValueError: with the nearest one.
    """
    known = list(parameters)
    for name in policy.ignored_inputs:
        if name not in known:
            raise ValueError(
                f"ignored_inputs of task {task!r}: there is no parameter {name!r};"
                f"{suggest(name, known)}"
            )


CachePolicy.__module__ = "trouper"
