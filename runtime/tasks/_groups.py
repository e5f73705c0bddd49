"""`trouper.group`: a name around calls, which their records carry."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from .._names import check_name

current_group: ContextVar[str | None] = ContextVar("current_group", default=None)


@contextmanager
def group(name: str) -> Generator[None, None, None]:
    """Give the calls inside of the block a group, by which `run.actions()` shows them together.

    What those tasks call themselves is in it as well; a group within a group stands for itself.
    Names of actions don't change. (`wf.group` is another thing: actors supervised together.)
    """
    token = current_group.set(check_name(name, "group"))
    try:
        yield
    finally:
        current_group.reset(token)


group.__module__ = "trouper"
