"""`trouper.custom_context`: key-value pairs for all that is called or sent inside of a block."""

from collections.abc import Generator
from contextlib import contextmanager

import msgspec

from ...actors._current import ctx
from ...actors._run_context import read_only
from ...channels._context import message_context


@contextmanager
def custom_context(**pairs: str) -> Generator[None, None, None]:
    """Put pairs over the custom context, for the tasks called and messages sent in the block.

    It holds for this branch only: what runs beside the block, and its caller, see nothing of it.

    Raises:
        TypeError: a value is no str; with the key and the value.
        RuntimeError: outside of any task.
    """
    if ctx() is None:
        raise RuntimeError(
            "trouper.custom_context() is for tasks; outside of one write "
            "trouper.with_runcontext(custom_context={...}), or for one message "
            "run.send(x, custom_context={...})"
        )
    own = read_only(pairs)
    here = message_context.get()
    merged = {**here.custom_context, **own}
    token = message_context.set(msgspec.structs.replace(here, custom_context=read_only(merged)))
    try:
        yield
    finally:
        message_context.reset(token)


def get_custom_context() -> dict[str, str]:
    """Return the custom context that holds here, a fresh dict; outside of a task it is empty."""
    context = ctx()
    return {} if context is None else context.custom_context


custom_context.__module__ = get_custom_context.__module__ = "trouper"
