"""Which asyncio loop the bodies of a run use: the host's, else one of the run's own.

asyncio itself is imported only when there is a loop to talk to.
"""

import logging
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    import asyncio

    from ._asyncio_side import AsyncioSide
    from ._own_loop import OwnLoop

log = logging.getLogger("trouper")

host_loop: "ContextVar[asyncio.AbstractEventLoop | None]" = ContextVar("host_loop", default=None)
"""The loop of the asyncio program that the run belongs to. Copied into its tasks and threads."""
_host_side: "trio.lowlevel.RunVar[AsyncioSide | None]" = trio.lowlevel.RunVar(
    "trouper_host_side", None
)


def _side_of_host() -> "AsyncioSide | None":
    loop = host_loop.get()
    if loop is None:
        return None
    side = _host_side.get()
    if side is not None and side.loop is loop:
        return side
    from ._asyncio_side import AsyncioSide

    side = AsyncioSide(loop)
    _host_side.set(side)
    trio.lowlevel.spawn_system_task(side.watch)
    return side


_of_run: "ContextVar[AsyncioOfRun | None]" = ContextVar("asyncio_of_run", default=None)


class AsyncioOfRun:
    """What one run has in asyncio. Made where the run begins, and closed there."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._around = _current()
        """That of the run whose body has started this one."""
        self._own: list[OwnLoop] = []
        """Loops of its own; all but the last were ended by what ran there, and may not be over."""
        self._is_closed = False
        self.left: dict[str, deque[Any]] = {}
        """By node: what a source has yielded there, and a cancel has kept from being sent."""
        _of_run.set(self)

    def is_here(self) -> bool:
        """Return whether it may be used: in the trio loop that it was made in, until its end."""
        token = trio.lowlevel.current_trio_token()
        return self._token is token and not self._is_closed

    def side(self) -> "AsyncioSide":
        """Return the loop; the first call may start one."""
        host = _side_of_host()
        if host is not None:
            return host
        if self._around is not None:
            return self._around.side()
        if not self._own or self._own[-1].is_ending:
            from ._own_loop import OwnLoop

            self._own = [*(each for each in self._own if not each.is_over), OwnLoop()]
        return self._own[-1].side

    async def close(self) -> None:
        """End the run's own loop, whatever is left there; nothing if there is none."""
        self._is_closed = True
        _of_run.set(self._around)
        for node, items in self.left.items():
            log.warning(
                "%d messages that %r had yielded in asyncio were not sent: the run has ended",
                len(items),
                node,
            )
        with trio.CancelScope(shield=True):
            for own in self._own:
                await own.close()
        self._own.clear()


def _current() -> AsyncioOfRun | None:
    # Context variables are copied into threads, and so into other trio loops.
    found = _of_run.get()
    return found if found is not None and found.is_here() else None


def current_asyncio(name: str) -> AsyncioOfRun:
    """Return what the run that goes on here has in asyncio.

    Args:
        name: of what is to run there, for the error.

    Raises:
        RuntimeError: no body of a run goes on here; with the fix.
    """
    if not trio.lowlevel.in_trio_task():
        raise RuntimeError(
            f"asyncio_bridge({name}) leads from trio to asyncio, and trio does not run here; in "
            f"asyncio, await {name} itself"
        )
    found = _current()
    if found is None:
        raise RuntimeError(
            f"asyncio_bridge({name}) is for what runs in a graph or a task of trouper, and none "
            "goes on here; call it in the body of a node"
        )
    return found
