"""Calls of tasks that have a cache or a queue. Calls of all others know nothing of this file.

Rule: the cache comes first, for what is taken from it needs no place. A task that waits for a call
of this kind gives its own place back until that has ended.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from ...actors._current import current_context
from ...actors._run_context import RunContext
from ._action import Action, CallContext
from ._calls import Calls, Perform, calls_of
from ._perform import Args, Base, Named, failure_of, perform
from ._queues import Queue, Seat, check_queue, find_queue, seat_above
from ._spec import Spec
from .errors import RuntimeUserError

if TYPE_CHECKING:
    from ..cache._run_cache import RunCache

_QUEUES = "queues"


def performer(spec: Spec, calls: Calls) -> Perform:
    """Return what a call of the task goes through."""
    return calls.perform or (perform_served if spec.is_served else perform)


async def perform_served(spec: Spec, action: Action, base: Base, args: Args, named: Named) -> Any:
    """Return what the task returns, or has returned before; `args` are bound and checked.

    Raises:
        RuntimeUserError: it failed, and is not tried again.
    """
    calls = action.calls
    action.interruptible = spec.settings.interruptible
    if spec.settings.cache is None and _queue_name(spec, base) is None:
        return await perform(spec, action, base, args, named)
    pace = calls.pace
    pace.left -= 1
    if pace.left <= 0:
        await pace.breathe()
    above = seat_above(action)
    if above is None:
        return await _serve(spec, action, base, args, named)
    above.go_away()
    try:
        value = await _serve(spec, action, base, args, named)
    except Exception:
        await above.come_back()
        raise
    except BaseException:
        above.forget()
        raise
    await above.come_back()
    return value


async def _serve(spec: Spec, action: Action, base: Base, args: Args, named: Named) -> Any:
    calls = action.calls
    cache = None if spec.settings.cache is None else _cache(base.run_context)
    compute = partial(in_queue, perform, spec, action, base, args, named)
    try:
        if cache is None:
            return await compute()
        found = await cache.get(spec, base.config, (args, named), compute)
    except RuntimeUserError:
        raise
    except Exception as error:
        raise failure_of(action, error) from error
    except BaseException:
        if action.phase == "waiting":
            calls.end(action, "cancelled")
        raise
    if not found.is_computed:
        action.is_cached = True
        calls.begin(action)
        calls.end(action, "completed")
    return found.value


async def in_queue(
    do: Perform, spec: Spec, action: Action, base: Base, args: Args, named: Named
) -> Any:
    """Return what `do` returns, called when the action has a place in its queue."""
    name = _queue_name(spec, base)
    if name is None:
        return await do(spec, action, base, args, named)
    queue = _queue(base.run_context, name, spec)
    above = seat_above(action)
    seat = action.seat = Seat(queue)
    await seat.sit(first=above is not None and above.queue is queue)
    try:
        return await do(spec, action, base, args, named)
    finally:
        seat.leave()


def _cache(run: RunContext | None) -> "RunCache | None":
    # Loaded when it is first needed: SQLite comes with it.
    from ..cache._run_cache import cache_of

    return None if run is None else cache_of(run)


def _queue_name(spec: Spec, base: Base) -> str | None:
    """Return the queue of a task: its own, or that of the run."""
    run = base.run_context
    return spec.settings.queue or (None if run is None else run.queue)


def _queue(run: RunContext | None, name: str, spec: Spec) -> Queue:
    """Return the queue, as it was configured when the run first needed it."""
    known: dict[str, Queue] = {} if run is None else run.kept.setdefault(_QUEUES, {})
    found = known.get(name)
    if found is None:
        found = known[name] = find_queue(name, f"task {spec.name!r}")
    return found


def join_run(run: RunContext, spec: Spec | None) -> None:
    """Make the calls of a new run know of its queue, and of the action that has started it.

    Args:
        spec: the task that it runs, if it is one.

    Raises:
        ValueError: a queue is not configured.
    """
    calls = calls_of(run)
    calls.starter = _starter()
    calls.interruptible = run.interruptible
    if run.queue is not None:
        check_queue(run.queue, f"run {run.run_name!r}")
        calls.perform = perform_served
    if spec is not None and spec.settings.queue is not None:
        check_queue(spec.settings.queue, f"task {spec.name!r}")


def _starter() -> Action | None:
    context = current_context.get()
    if type(context) is CallContext:
        return context.call
    if context is None or context.run_context is None:
        return None
    # A node of a graph has no place itself, but who has started the graph may.
    return calls_of(context.run_context).starter
