"""What can be said of a task of an environment. Every option is checked when it is given."""

import math
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from attrs import frozen

from ...actors._restart import Backoff, RestartPolicy, RestartType
from .._names import suggest

CacheWord = Literal["auto", "disable", "override"]


class SharedOptions(TypedDict, total=False):
    """Options of a task, and of an environment for all of its tasks."""

    retries: int
    """Attempts after the first one, whenever it fails."""
    timeout: float
    """Seconds that one attempt may take."""
    cache: Any
    """ "disable": no result is ever taken from a cache. There is no other yet."""
    restart: RestartType | RestartPolicy
    """When it is tried again, in the words of a node: instead of `retries`."""
    max_restarts: int
    period: float
    backoff: Backoff
    """How long to wait before an attempt."""
    shutdown: float
    """Seconds that a sync task's thread may go on after a cancel, before it is abandoned."""
    interruptible: bool
    queue: str


class TaskOptions(SharedOptions, total=False):
    """Options of `@env.task`."""

    name: str
    """Left out: the function's."""


@frozen(kw_only=True)
class Settings:
    """The checked options of one task."""

    policy: RestartPolicy | None = None
    """None: it is never tried again."""
    timeout: float | None = None
    shutdown: float = 5.0


_TYPES: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "name": ("a str", (str,)),
    "retries": ("an int", (int,)),
    "timeout": ("seconds", (int, float)),
    "restart": ("a word or a RestartPolicy", (str, RestartPolicy)),
    "max_restarts": ("an int", (int,)),
    "period": ("seconds", (int, float)),
    "backoff": ("a trouper.Backoff", (Backoff,)),
    "shutdown": ("seconds", (int, float)),
}
_CACHE_WORDS = ("auto", "disable", "override")
_LATER = {
    "interruptible": "nothing can interrupt a task of this machine",
    "queue": "there are no queues",
}


def check_options(owner: str, given: Mapping[str, Any]) -> Settings:
    """Return the options of a task.

    Raises:
        TypeError: an option is unknown, or of a wrong type.
        ValueError: a value is not legal, or another one leaves it without effect; with the fix.
        NotImplementedError: it has no effect yet, and so is not taken.
    """
    for option in given:
        if option not in TaskOptions.__annotations__:
            known = TaskOptions.__annotations__
            raise TypeError(f"{owner} has no option {option!r};{suggest(option, known)}")
    for option, (what, types) in _TYPES.items():
        if option in given:
            value = given[option]
            if not isinstance(value, types) or isinstance(value, bool):
                raise TypeError(f"{option} of {owner} takes {what}, got {value!r}")
    for option, reason in _LATER.items():
        if option in given:
            raise NotImplementedError(f"{option} of {owner}: {reason} yet; leave it out")
    _check_cache(owner, given.get("cache", "disable"))
    return Settings(
        policy=_policy(owner, given),
        timeout=_seconds(owner, "timeout", given.get("timeout")),
        shutdown=_seconds(owner, "shutdown", given.get("shutdown")) or Settings().shutdown,
    )


def _seconds(owner: str, option: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < math.inf:
        raise ValueError(f"{option} of {owner} must be > 0 s and finite, got {value!r}")
    return value


def _check_cache(owner: str, cache: object) -> None:
    if cache == "disable":
        return
    if isinstance(cache, str) and cache not in _CACHE_WORDS:
        raise ValueError(
            f"cache of {owner} can't be {cache!r}; choose one of: {', '.join(_CACHE_WORDS)}"
        )
    raise NotImplementedError(
        f"cache={cache!r} of {owner}: there is no cache yet; leave it out, or cache='disable'"
    )


def _policy(owner: str, given: Mapping[str, Any]) -> RestartPolicy | None:
    if "retries" in given:
        return _policy_of_retries(owner, given)
    restart = given.get("restart", "temporary")
    parts = {key: given[key] for key in ("max_restarts", "period", "backoff") if key in given}
    if isinstance(restart, RestartPolicy):
        for option in parts:
            raise ValueError(
                f"{option} of {owner} has no effect beside restart=RestartPolicy(...); write "
                f"RestartPolicy({option}=...)"
            )
        policy = restart
    elif restart == "temporary" and parts:
        raise ValueError(
            f"{next(iter(parts))} of {owner} has an effect only with retries= or "
            "restart='transient'; add one of them"
        )
    else:
        policy = RestartPolicy(restart=restart, **parts)
    if policy.restart == "permanent":
        raise ValueError(
            f"restart of {owner} can't be 'permanent': its caller waits for its end; "
            "choose 'transient' or retries="
        )
    return None if policy.restart == "temporary" else policy


def _policy_of_retries(owner: str, given: Mapping[str, Any]) -> RestartPolicy | None:
    for option in ("restart", "max_restarts", "period"):
        if option in given:
            raise ValueError(
                f"{option} of {owner} says with retries= the same twice; leave one out"
            )
    retries = given["retries"]
    if retries < 0:
        raise ValueError(f"retries of {owner} must be >= 0, got {retries}")
    if retries == 0:
        return None
    backoff = given.get("backoff", Backoff())
    return RestartPolicy(
        restart="transient", max_restarts=retries, period=math.inf, backoff=backoff
    )
