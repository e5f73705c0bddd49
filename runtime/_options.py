"""What can be said of a node. Every option is checked when it is given."""

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, TypedDict, cast, get_args

from attrs import frozen

from ..actors._lease import MAX_RELEASES
from ..actors._rate import Rate, as_rate
from ..actors._restart import Backoff, RestartPolicy, RestartType
from ..actors._restart_on import RestartOn, make_rule
from ..channels._fan_in import FanIn
from ..channels._fan_out import FanOut
from ..channels._overflow import OverflowPolicy, check_capacity, check_overflow
from ..channels._partition import Partition
from ._annotations import check_hint
from ._edge import DependsOn
from ._names import refuse_unknown

Collect = Literal["last", "all"]
OnRedelivery = Literal["repeat", "skip", "hold"]
Executor = Literal["thread", "process"]


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()
"""Stands for 'not given' where None is a value."""


class RestartOptions(TypedDict, total=False):
    """Options of every node."""

    name: str
    depends_on: DependsOn
    type: Any
    """Type of its output, where the annotations don't tell."""
    restart: RestartType | RestartPolicy
    """When it is restarted, or a whole policy, which several nodes may share."""
    max_restarts: int
    period: float
    backoff: Backoff
    restart_on: RestartOn | None
    """Which failures are restarted: types, a predicate, or a mapping from type to "restart",
    "resume", "stop" or "escalate". What it does not name is given up at once."""
    significant: bool
    """Whether its end may end the group that it is in (`auto_shutdown`)."""


class TaskOptions(RestartOptions, total=False):
    """Options of a batch task."""

    collect: Collect
    """What a stream upstream gives: its last value, or the list of all."""
    max_items: int | None
    """Most values that `collect="all"` takes; one more fails the task."""
    default: Any
    """The input when a stream upstream ends without a value."""
    executor: Executor
    """Where a sync task runs: in a thread, or for work that needs a CPU, in a process."""
    shutdown: float
    """Seconds that a sync task's thread may go on after a cancel, before it is abandoned."""


class ActorOptions(RestartOptions, total=False):
    """Options of an actor."""

    fan_in: FanIn
    fan_out: FanOut
    """Who gets each message: every reader, one that has room, or the one it belongs to."""
    capacity: float
    overflow: OverflowPolicy
    validate: bool
    """Check each message against the input type before it is handed out."""
    copy: bool
    """Give each consumer and each attempt a deep copy of its own."""
    outputs: Mapping[str, Any]
    """Further named outputs and their types."""
    on_redelivery: OnRedelivery
    hold_limit: int
    """Most outputs of one message that `on_redelivery="hold"` keeps."""
    rate: Rate | float | None
    """Messages per second that it takes, or makes of its own accord; None: no limit."""
    concurrency: int
    """Bodies of `run(ctx)` side by side, each with a message of its own; order is not kept."""
    timeout: float | None
    """Seconds that one message, or one batch, may be handled; over it, the attempt has failed."""
    max_attempts: int | None
    """Deliveries of one message before it is dead-lettered; None: no limit."""
    max_releases: int | None
    """Times that `ctx.release` may give one message back before it is dead-lettered; None: any."""
    redelivery_delay: float | Backoff | None
    """Seconds until a rejected or released message comes again; others go on meanwhile."""
    max_children: int | None
    """Most children of `ctx.spawn` at a time, those that are restarting included."""
    shutdown: float
    """Seconds that the `stop` hook may take, at any end; 0: it is not called."""


class AnyOptions(TaskOptions, ActorOptions, total=False):
    """Options of `wf.add`, which takes both kinds."""


class MapOptions(TypedDict, total=False):
    """Options of `wf.map`. Those of an actor have an effect only over a stream."""

    name: str
    restart: RestartType | RestartPolicy
    max_restarts: int
    period: float
    backoff: Backoff
    restart_on: Any
    significant: bool
    executor: Executor
    shutdown: float
    fan_out: FanOut
    capacity: float
    overflow: OverflowPolicy
    validate: bool
    copy: bool
    on_redelivery: OnRedelivery
    hold_limit: int
    timeout: float | None
    max_attempts: int | None
    redelivery_delay: float | Backoff | None


@frozen(kw_only=True)
class Options:
    """The checked options of one node."""

    policy: RestartPolicy
    collect: Collect = "last"
    max_items: int | None = None
    default: Any = UNSET
    executor: Executor = "thread"
    fan_in: FanIn = "merge"
    fan_out: FanOut = "broadcast"
    capacity: float = 64
    overflow: OverflowPolicy = "block"
    validate: bool = False
    copy: bool = False
    outputs: Mapping[str, Any] = {}
    on_redelivery: OnRedelivery = "repeat"
    hold_limit: int = 1024
    max_attempts: float = 3
    max_releases: float = MAX_RELEASES
    redelivery_delay: float | Backoff | None = None
    rate: Rate | None = None
    concurrency: int = 1
    timeout: float | None = None
    max_children: int | None = None
    significant: bool = False
    shutdown: float = 5.0
    given: frozenset[str] = frozenset()
    """The options that were given, not left at their default."""


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "collect": get_args(Collect),
    "executor": get_args(Executor),
    "fan_in": get_args(FanIn),
    "on_redelivery": get_args(OnRedelivery),
}
_TYPES: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "validate": ("a bool", (bool,)),
    "copy": ("a bool", (bool,)),
    "outputs": ("a mapping from name to type", (Mapping,)),
    "max_items": ("an int", (int,)),
    "hold_limit": ("an int", (int,)),
    "shutdown": ("seconds", (int, float)),
    "concurrency": ("an int", (int,)),
    "timeout": ("seconds", (int, float)),
    "redelivery_delay": ("seconds or a trouper.Backoff", (int, float, Backoff)),
    "max_children": ("an int", (int,)),
    "significant": ("a bool", (bool,)),
    "max_restarts": ("an int", (int,)),
    "period": ("seconds", (int, float)),
    "backoff": ("a trouper.Backoff", (Backoff,)),
}
_RESTART = ("restart", "max_restarts", "period", "backoff", "restart_on")
_POSITIVE = ("max_items", "hold_limit", "concurrency", "timeout", "max_children")
_NONE = ("restart_on", "max_items", "timeout", "redelivery_delay", "max_children")
"""Options whose default is None: that may be said, and says nothing."""
_ONLY_FOR = {
    "task": set(TaskOptions.__annotations__) - set(ActorOptions.__annotations__),
    "actor": set(ActorOptions.__annotations__) - set(TaskOptions.__annotations__),
}


_DEFAULT_RESTART: Mapping[str, RestartType] = {"task": "temporary", "actor": "transient"}
_UNTOUCHED: Mapping[str, Options] = {
    # Shared, because most nodes of a large graph give no option of their own.
    kind: Options(policy=RestartPolicy(restart=restart))
    for kind, restart in _DEFAULT_RESTART.items()
}


def check_options(kind: Literal["task", "actor"], node: str, given: Mapping[str, Any]) -> Options:
    """Return the options of a node.

    Raises:
        TypeError: an option is unknown, of a wrong type, or has no meaning for this kind of node.
        ValueError: a value is not legal, or another one leaves it without effect; with the fix.
    """
    if not given:
        return _UNTOUCHED[kind]
    _check_names(kind, node, given)
    given = {key: given[key] for key in given if given[key] is not None or key not in _NONE}
    _check_types(node, given)
    for option in _CHOICES:
        if option in given:
            check_choice(node, option, given[option])
    if "fan_out" in given:
        _check_fan_out(node, given["fan_out"])
    rest = {key: value for key, value in given.items() if key not in _RESTART}
    overflow = check_overflow(rest.get("overflow", "block"), owner=repr(node))
    if "capacity" in rest:
        check_capacity(rest["capacity"], overflow=overflow, owner=repr(node))
    for option in ("max_attempts", "max_releases"):
        if option in rest:
            rest[option] = _check_times(node, option, rest[option])
    if "rate" in rest:
        rest["rate"] = as_rate(rest["rate"], owner=repr(node))
    if rest.get("timeout") == math.inf:
        raise ValueError(f"timeout of {node!r} has no effect with inf; leave it out")
    _check_delay(node, rest.get("redelivery_delay"))
    for option in _POSITIVE:
        if option in rest and not rest[option] > 0:
            raise ValueError(f"{option} of {node!r} must be > 0, got {rest[option]!r}")
    if "shutdown" in rest and not rest["shutdown"] >= 0:
        raise ValueError(f"shutdown of {node!r} must be >= 0, got {rest['shutdown']!r}")
    if "restart_on" in given:
        _check_restart_on(node, kind, given["restart_on"])
    restart: dict[str, Any] = {"restart": _DEFAULT_RESTART[kind]}
    restart |= {key: given[key] for key in _RESTART if key in given}
    if isinstance(restart["restart"], RestartPolicy):
        policy = _check_policy(node, **restart)
        _check_effects(node, {**given, "restart": policy.restart}, given)
    else:
        _check_effects(node, {**given, **restart}, given)
        try:
            policy = RestartPolicy(**restart)
        except ValueError as error:
            raise ValueError(f"{node!r}: {error}") from None
    return Options(policy=policy, given=frozenset(given), **rest)


def check_choice(node: str, option: str, value: object) -> None:
    legal = _CHOICES[option]
    if value not in legal:
        raise ValueError(
            f"{option} of {node!r} can't be {value!r}; choose one of: {', '.join(legal)}"
        )


def _check_names(kind: str, node: str, given: Mapping[str, Any]) -> None:
    refuse_unknown(repr(node), given, sorted(AnyOptions.__annotations__))
    this, other = ("a task", "an actor") if kind == "task" else ("an actor", "a task")
    misplaced = sorted(set(given) & _ONLY_FOR[other.split()[1]])
    if misplaced:
        raise TypeError(f"{node!r} is {this}; {misplaced[0]} is an option of {other}: leave it out")


def _check_types(node: str, given: Mapping[str, Any]) -> None:
    for option in [each for each in _TYPES if each in given]:
        value, (what, types) = given[option], _TYPES[option]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise TypeError(f"{option} of {node!r} takes {what}, got {value!r}")
    for output, hint in cast("Mapping[object, object]", given.get("outputs", {})).items():
        if not isinstance(output, str) or not output:
            raise TypeError(f"an output of {node!r} needs a name, a str, got {output!r}")
        check_hint(hint, f"output {output!r} of {node!r}")


def _check_effects(node: str, settings: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse what another option leaves without effect (known fault F17 is to accept it)."""
    restarts = settings["restart"] != "temporary"
    needs = {
        "max_items": ("collect='all'", settings.get("collect") == "all"),
        "default": ("collect='last'", settings.get("collect") != "all"),
        "hold_limit": ("on_redelivery='hold'", settings.get("on_redelivery") == "hold"),
        **dict.fromkeys(
            ("max_restarts", "period", "backoff", "restart_on"),
            ("restart='transient' or 'permanent'", restarts),
        ),
        # What is permanent never ends by itself (case S13).
        "significant": (
            "restart='transient' or 'temporary'",
            settings["restart"] != "permanent" or not settings.get("significant"),
        ),
    }
    for option, (condition, holds) in needs.items():
        if option in given and not holds:
            raise ValueError(
                f"{option} of {node!r} has an effect only with {condition}; add that, or leave "
                f"{option} out"
            )


def _check_fan_out(node: str, fan_out: object) -> None:
    if isinstance(fan_out, Partition) or fan_out in ("broadcast", "balance"):
        return
    raise ValueError(
        f"fan_out of {node!r} can't be {fan_out!r}; choose one of: broadcast, balance, "
        f"trouper.Partition(key)"
    )


def _check_restart_on(node: str, kind: str, given: object) -> None:
    answers = make_rule(given, repr(node)).answers or {}
    unfit = [answer for answer in answers.values() if answer in ("resume", "stop")]
    if kind == "task" and unfit:
        raise ValueError(
            f"restart_on of {node!r} can't answer by {unfit[0]!r}: a task has no next message, and "
            "a result is waited for; choose 'restart' or 'escalate'"
        )


def _check_policy(node: str, restart: RestartPolicy, **parts: object) -> RestartPolicy:
    for option in parts:
        raise ValueError(
            f"{option} of {node!r} has no effect beside restart=RestartPolicy(...), which says it "
            f"too; write RestartPolicy({option}=...), or give restart= as a word"
        )
    return restart


def _check_delay(node: str, delay: object) -> None:
    seconds = delay.max if isinstance(delay, Backoff) else delay
    if isinstance(seconds, int | float) and not 0 < seconds < math.inf:
        raise ValueError(
            f"redelivery_delay of {node!r} must be > 0 s and finite, got {delay!r}; leave it out "
            "to have messages come again at once"
        )


def _check_times(node: str, option: str, most: object) -> float:
    if most is None:
        return math.inf
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise ValueError(f"{option} of {node!r} must be an int >= 1 or None, got {most!r}")
    return most
