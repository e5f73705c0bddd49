"""How an actor hears that its run drains."""

import trio


class Stopping:
    """Set, and true, when the run drains: `while not ctx.stopping`, `await ctx.stopping.wait()`."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._event: trio.Event | None = None

    def __bool__(self) -> bool:
        return self._is_set

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Ask to stop. Idempotent."""
        self._is_set = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Wait until it is set."""
        if self._event is None:
            self._event = trio.Event()
            if self._is_set:
                self._event.set()
        await self._event.wait()


Stopping.__module__ = "trouper"
