"""Run a sync task in the thread of the sync task that calls it.

Every `MOST_LEVELS`-th call inside of another has a thread of its own, for the stack of one has an
end.
"""

from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import Any

import trio

from ...actors._current import current_context
from ...actors._restart import RestartPolicy
from ._action import Action
from ._bridge import Bridge, PlainBridge, node_bridge
from ._perform import (
    Args,
    Base,
    Named,
    close_feeds,
    failure_of,
    note_attempt,
    open_attempt,
    perform,
)
from ._served import performer
from ._spec import Spec
from ._tries import Tries
from .errors import RuntimeUserError

MOST_LEVELS = 48
"""Calls that are one inside of the other in one thread: each takes six of the 1,000 frames that
Python gives a thread, and the user's own between them some more."""


def call_from_thread(spec: Spec, action: Action, base: Base, args: Args, named: Named) -> Any:
    """Return what the task returns, called where no event loop runs.

    Raises:
        RuntimeUserError: it failed, and is not tried again.
        trio.Cancelled: the run is being cancelled.
    """
    bridge = bridge_of(action)
    do = performer(spec, action.calls)
    # Only a thread of its own can be given up; only in the event loop can others be waited for.
    apart = spec.kind != "sync" or spec.settings.timeout is not None or do is not perform
    if apart or action.level >= MOST_LEVELS:
        action.level = 0
        return bridge.call(do, spec, action, base, args, named)
    action.bridge = bridge
    return _perform(spec, action, base, args, named)


def bridge_below(caller: Action) -> Bridge:
    """Return how what an action calls in its thread gets into the event loop."""
    return caller.bridge or node_bridge.get() or PlainBridge()


def bridge_of(action: Action) -> Bridge:
    """Return the bridge of the action's caller."""
    assert action.parent is not None
    return bridge_below(action.parent)


def _perform(spec: Spec, action: Action, base: Base, args: Args, named: Named) -> Any:
    calls = action.calls
    try:
        _check_cancelled()
        calls.begin(action)
        policy = spec.settings.policy
        before = None
        if calls.keeper is not None:
            before = calls.keeper.begins(spec, action, args, named)
        if before is not None:
            value = before.value
        elif policy is None:
            value = _attempt(spec, action, base, args, named)
        else:
            value = _attempts(spec, policy, action, base, args, named)
    except RuntimeUserError as error:
        failure_of(action, error)
        raise
    except Exception as error:
        failure = failure_of(action, error)
    except BaseException:
        calls.end(action, "cancelled")
        raise
    else:
        calls.end(action, "completed", value=value)
        return value
    raise failure


def _check_cancelled() -> None:
    try:
        trio.from_thread.check_cancelled()
    except RuntimeError:  # a thread that the user has started
        return


def _attempts(
    spec: Spec, policy: RestartPolicy, action: Action, base: Base, args: Args, named: Named
) -> Any:
    tries = Tries(policy)
    while True:
        began = monotonic()
        try:
            return _attempt(spec, action, base, args, named)
        except Exception as error:
            chance = action.calls.rng.random()
            delay = tries.after(error, began=began, now=monotonic(), chance=chance)
            if delay is None:
                raise
            note_attempt(action, error, delay)
        # In the event loop, where a cancel ends it.
        bridge_below(action).call(trio.sleep, delay)


def _attempt(spec: Spec, action: Action, base: Base, args: Args, named: Named) -> Any:
    context = open_attempt(action, base)
    own = copy_context()
    own.run(current_context.set, context)
    if spec.takes_ctx:
        args = (context, *args)
    try:
        value = own.run(partial(spec.function, *args, **named))
    finally:
        if action.feeds:
            bridge_below(action).call(close_feeds, action)
    check = spec.check_result
    return value if check is None else check(value)
