"""What can be said of a task of an environment. Every option is checked when it is given."""

import math
from collections.abc import Mapping
from typing import Any, TypedDict

from attrs import frozen

from ...actors._restart import Backoff, RestartPolicy, RestartType
from .._names import refuse_unknown
from ..cache._policy import CacheBehavior, CachePolicy, policy_of


class SharedOptions(TypedDict, total=False):
    """Options of a task, and of an environment for all of its tasks."""

    retries: int
    """Attempts after the first one, whenever it fails."""
    timeout: float
    """Seconds that one attempt may take."""
    cache: CacheBehavior | CachePolicy
    """ "auto": a result that is known is taken; "override": computed each time, and kept."""
    restart: RestartType | RestartPolicy
    """When it is tried again, in the words of a node: instead of `retries`."""
    max_restarts: int
    period: float
    backoff: Backoff
    """How long to wait before an attempt."""
    shutdown: float
    """Seconds that a sync task's thread may go on after a cancel, before it is abandoned."""
    interruptible: bool
    """Whether an engine may run it where it can be interrupted; stands in its action."""
    queue: str
    """How many run at once, is configured for each queue."""


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
    cache: CachePolicy | None = None
    """None: its results are not cached."""
    queue: str | None = None
    interruptible: bool = False


_TYPES: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "name": ("a str", (str,)),
    "retries": ("an int", (int,)),
    "timeout": ("seconds", (int, float)),
    "restart": ("a word or a RestartPolicy", (str, RestartPolicy)),
    "max_restarts": ("an int", (int,)),
    "period": ("seconds", (int, float)),
    "backoff": ("a trouper.Backoff", (Backoff,)),
    "shutdown": ("seconds", (int, float)),
    "queue": ("the name of a queue", (str,)),
    "interruptible": ("a bool", (bool,)),
}


def check_options(owner: str, given: Mapping[str, Any]) -> Settings:
    """Return the options of a task.

    Raises:
        TypeError: an option is unknown, or of a wrong type.
        ValueError: a value is not legal, or another one leaves it without effect; with the fix.
    """
    refuse_unknown(owner, given, TaskOptions.__annotations__)
    for option, (what, types) in _TYPES.items():
        if option in given:
            value = given[option]
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                raise TypeError(f"{option} of {owner} takes {what}, got {value!r}")
    return Settings(
        policy=_policy(owner, given),
        timeout=_seconds(owner, "timeout", given.get("timeout")),
        shutdown=_seconds(owner, "shutdown", given.get("shutdown")) or Settings().shutdown,
        cache=policy_of(owner, given.get("cache", "disable")),
        queue=given.get("queue"),
        interruptible=given.get("interruptible", False),
    )


def _seconds(owner: str, option: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < math.inf:
        raise ValueError(f"{option} of {owner} must be > 0 s and finite, got {value!r}")
    return value


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
