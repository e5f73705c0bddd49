"""Run one action to its end, in the trio task of its caller or apart from it.

Rule 1: an action ends before its caller goes on, and takes all that it started with it.
Rule 2: a call that need not wait costs no trio task; so that tasks may call tasks to any depth,
every `MOST_LEVELS`-th call has one of its own, for the stack of one has an end.
"""

import logging
from contextvars import Context, copy_context
from typing import Any

import trio

from ...actors._current import current_context
from ...actors._failure import summarize
from ...actors._restart import RestartPolicy
from ...actors._task_context import TaskContext
from .._leaf import only_leaf
from ._action import Action, CallContext
from ._bridge import call_sync
from ._drive import drive, go_on
from ._spec import Spec, make_body
from ._tries import Tries
from .errors import RuntimeUserError, TaskTimeout

log = logging.getLogger("trouper")

MOST_LEVELS = 16

Base = TaskContext[Any, Any, Any]
Args = tuple[Any, ...]
Named = dict[str, Any]


async def perform(spec: Spec, action: Action, base: Base, args: Args, named: Named) -> Any:
    """Return what the task returns; `args` are bound and checked.

    Raises:
        RuntimeUserError: it failed, and is not tried again.
    """
    calls = action.calls
    try:
        pace = calls.pace
        pace.left -= 1
        if pace.left <= 0:
            await pace.breathe()
        if action.level >= MOST_LEVELS:
            action.level = 0
            return await _apart(spec, action, base, args, named)
        calls.begin(action)
        policy = spec.settings.policy
        before = None
        if calls.keeper is not None:
            before = calls.keeper.begins(spec, action, args, named)
        if before is not None:
            value = before.value
        elif spec.is_simple:
            action.attempts = 1
            run = copy_context().run
            run(current_context.set, CallContext(action, base))
            body = spec.function(*args, **named)
            try:
                # As `drive` does it, without a coroutine more for what need not wait.
                value = await go_on(run, body, run(body.send, None))
            except StopIteration as end:
                value = end.value
            finally:
                if action.feeds:
                    await close_feeds(action)
            if spec.check_result is not None:
                value = spec.check_result(value)
        elif policy is None:
            value = await _attempt(spec, action, base, args, named)
        else:
            value = await _attempts(spec, policy, action, base, args, named)
    except RuntimeUserError as error:
        if action.phase == "running":
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


async def _apart(spec: Spec, action: Action, base: Base, args: Args, named: Named) -> Any:
    """Do so in a trio task of its own, with a stack of its own."""
    value: Any = None
    failure: Exception | None = None

    async def go() -> None:
        nonlocal value, failure
        try:
            value = await perform(spec, action, base, args, named)
        except Exception as error:
            failure = error

    async with trio.open_nursery() as nursery:
        nursery.start_soon(go, name=action.name)
    if failure is None:
        return value
    try:
        raise failure
    finally:
        failure = None  # it holds this frame


async def _attempts(
    spec: Spec, policy: RestartPolicy, action: Action, base: Base, args: Args, named: Named
) -> Any:
    tries = Tries(policy)
    while True:
        began = trio.current_time()
        try:
            return await _attempt(spec, action, base, args, named)
        except Exception as error:
            delay = tries.after(
                error, began=began, now=trio.current_time(), chance=action.calls.rng.random()
            )
            if delay is None:
                raise
            note_attempt(action, error, delay)
        # A cancel point even if there is no delay: nothing begins again in a run that is being
        # cancelled (case P2).
        await trio.sleep(delay)


async def _attempt(spec: Spec, action: Action, base: Base, args: Args, named: Named) -> Any:
    context = open_attempt(action, base)
    own = copy_context()
    own.run(current_context.set, context)
    if spec.takes_ctx:
        args = (context, *args)
    timeout = spec.settings.timeout
    try:
        if timeout is None:
            value = await _body(spec, action, own, args, named)
        else:
            value = await _body_in_time(spec, action, own, args, named, timeout)
    finally:
        if action.feeds:
            await close_feeds(action)
    check = spec.check_result
    return value if check is None else check(value)


def open_attempt(action: Action, base: Base) -> Base:
    """Return the context of a new attempt, whose calls have the names of the last one's."""
    action.attempts += 1
    action.counts = None
    if action.attempts > 1 and action.calls.keeper is not None:
        action.calls.keeper.again(action)
    return CallContext(action, base)


async def _body(spec: Spec, action: Action, own: Context, args: Args, named: Named) -> Any:
    if spec.kind == "async":
        return await drive(own.run, make_body(spec, args, named, own.run))
    return await call_sync(spec, action, own, args, named)


async def _body_in_time(
    spec: Spec, action: Action, own: Context, args: Args, named: Named, timeout: float
) -> Any:
    with trio.move_on_after(timeout):
        return await _body(spec, action, own, args, named)
    raise TaskTimeout(
        f"{action.name} took longer than timeout={timeout:g} s; raise it, or make the task faster",
        action=action.name,
    )


async def close_feeds(action: Action) -> None:
    """End the streams and maps that an action has not read to their end, and wait for that."""
    with trio.CancelScope(shield=True):
        for feed in tuple(action.feeds or ()):
            await feed.aclose()


def note_attempt(action: Action, error: Exception, delay: float) -> None:
    """Say that an attempt failed and another follows."""
    action.error = summarize(error)
    log.warning(
        "%s failed (attempt %d), again in %.3g s: %s",
        action.name,
        action.attempts,
        delay,
        action.error,
    )


def failure_of(action: Action, error: Exception) -> RuntimeUserError:
    """End an action by a failure, and return what its caller gets."""
    leaf = only_leaf(error)
    if isinstance(leaf, RuntimeUserError):
        failure = leaf
    else:
        code, summary = type(leaf).__name__, summarize(leaf)
        # Its message, which there is whatever the exception's own __str__ does.
        text = f"{action.name} failed: {code}: {summary.message}"
        failure = RuntimeUserError(text, code=code, action=action.name)
        failure.summary = summary
        failure.__cause__ = leaf
    if failure.summary is None:
        # Once, however many callers it goes through.
        failure.summary = summarize(leaf)
    action.calls.end(action, "failed", failure.summary)
    return failure
