"""A run that a sync task starts in its thread is cancelled with that task."""

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

from ._bridge import NurseryBridge
from ._calls import caller
from ._run import TaskRun


@contextmanager
def stop_with_caller(run: TaskRun) -> Generator[None, None, None]:
    """Abort a run if the task that has started it is cancelled meanwhile: nothing outlives it."""
    action = caller()
    bridge = None if action is None else action.bridge
    if action is None or not isinstance(bridge, NurseryBridge):
        yield
        return
    stop = bridge.watch(partial(run.abort, f"{action.name}, which has started it, was cancelled"))
    try:
        yield
    finally:
        stop()
