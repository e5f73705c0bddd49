"""What one execution is given."""

import secrets
import time
from collections.abc import Mapping
from typing import Any, TypedDict

from attrs import Factory, field, frozen

from ..actors._child import Probe
from ..actors._current import current_context
from ..actors._profile_config import ProfileConfig
from ..actors._run_context import RunContext
from ..channels._envelope import MessageContext
from ..channels._meter import Meter, SliceMeter
from ._ask import Asking
from ._names import refuse_unknown


@frozen(kw_only=True)
class Harness:
    """How tests make a run deterministic: what decides slices, jitter and faults."""

    meter: type[Meter] | Any = SliceMeter
    """Called once for each actor; gives its slice meter."""
    seed: int | None = None
    """Of the jitter; None: another one each time."""
    probe: Probe | None = None
    """Called at fault points."""
    watchdog: float | None = 1.0
    """Seconds that a task may block the event loop before a warning names the line; None: never.
    On a mock clock there is no warning."""


@frozen(kw_only=True)
class Settings:
    """What the tasks of one execution share."""

    state: Any = None
    deps: Any = None
    config: ProfileConfig = field(factory=ProfileConfig)
    run_context: RunContext
    is_open: bool = False
    """Whether messages may come from outside (`wf.open`)."""
    harness: Harness = field(factory=Harness)
    asking: Asking = field(factory=Asking)
    """The questions of the run."""
    message_context: MessageContext = field(
        init=False, default=Factory(lambda self: _first_context(self.run_context), takes_self=True)
    )
    """Where every message of the run begins: one object for all, so that it is bound once."""


def _first_context(run: RunContext) -> MessageContext:
    starter = current_context.get()
    return MessageContext(
        run=run.run_name,
        parent_action=None if starter is None else starter.action.name,
        custom_context=run.custom_context,
    )


class ExecuteOptions(TypedDict, total=False):
    """What `wf.execute` and `wf.open` take; told there."""

    run: Any
    run_context: RunContext | None
    profile_config: ProfileConfig | Mapping[str, Any] | None
    config: Mapping[str, Any] | None
    deps: Any
    state: Any
    harness: Harness | None


def check_options(what: str, options: "ExecuteOptions") -> None:
    """Refuse what no execution takes: `**options` would let a misspelt one pass.

    Args:
        what: who was given them, for the error.

    Raises:
        TypeError: names it, and the nearest one that there is.
    """
    refuse_unknown(f"{what}()", options, ExecuteOptions.__annotations__)


_LONGEST_PREFIX = 90
"""Characters of the name of a task or workflow in that of its run, which has 128 at most."""


_OPTION_TYPES: Mapping[str, tuple[str, type[Any]]] = {
    "config": ("a mapping from str", Mapping),
    "run_context": ("a trouper.RunContext", RunContext),
    "harness": ("a trouper.Harness", Harness),
}


def check_option_types(options: "ExecuteOptions") -> None:
    """Refuse what would only fail deep inside; what is not here says itself what is wrong with it.

    Raises:
        TypeError: names the option and the value.
    """
    for option, (what, type_) in _OPTION_TYPES.items():
        value: object = options.get(option)
        if value is not None and not isinstance(value, type_):
            raise TypeError(f"{option}= takes {what}, got {value!r}")


def generate_run_name(label: str) -> str:
    """Return a name that sorts by time and can be read: `monitor-20260131-154233-4f1a09c2d7`.

    Thousands that are made in one second differ: of 1,000, two are equal once in a million times.

    Args:
        label: name of the task or workflow.
    """
    # The name of a run begins with a letter or digit; that of a task or workflow may not.
    first = label[:_LONGEST_PREFIX].lstrip("_-") or "run"
    return f"{first}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(5)}"


def resolve_config(
    profile_config: ProfileConfig | Mapping[str, Any] | None, config: Mapping[str, Any] | None
) -> ProfileConfig:
    """Return `ctx.config`: the profile, with `config`'s keys over it.

    Args:
        profile_config: a resolved profile, or a plain mapping.
        config: keys that win over the profile's.
    """
    base = (
        profile_config
        if isinstance(profile_config, ProfileConfig)
        else ProfileConfig(profile_config)
    )
    return ProfileConfig({**base.to_dict(), **config}, name=base.name) if config else base


Harness.__module__ = "trouper"
