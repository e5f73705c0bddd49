"""Functions that are called in worker processes, and look at `trouper.ctx()` there."""

import threading
from typing import Any

import trouper

env = trouper.TaskEnvironment("in_worker")


def what_it_sees() -> dict[str, Any]:
    """Return what the seed's page says that a task sees."""
    ctx = trouper.ctx()
    assert ctx is not None
    fields = ("mode", "version", "raw_data_path", "run_base_dir", "custom_context")
    return {
        **{each: getattr(ctx, each) for each in (*fields, "disable_run_cache")},
        "action": ctx.action,
        "in_cluster": ctx.is_in_cluster(),
        "attempt": ctx.attempt,
        "upstreams": ctx.upstreams,
        "lr": ctx.config.get("lr"),
        "labels": None if ctx.run_context is None else dict(ctx.run_context.labels),
        "same": ctx is trouper.ctx(),
        "in_a_thread": _in_a_thread(),
        "get_custom_context": trouper.get_custom_context(),
    }


def what_it_sees_for(_item: int) -> dict[str, Any]:
    return what_it_sees()


def context_in_a_block() -> dict[str, str]:
    with trouper.custom_context(block="yes"):
        return trouper.get_custom_context()


def _in_a_thread() -> str:
    names: list[str] = []

    def look() -> None:
        ctx = trouper.ctx()
        names.append("" if ctx is None else ctx.action.name)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return names[0]


def context_here() -> str:
    return repr(trouper.ctx())


@env.task
def never_called() -> None:
    """Is called where there is no run."""


def call_a_task() -> None:
    never_called()
