"""One run on the far side: opened, used by calls, and left when the host says so."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from .._report import WorkflowResult
from .._run import LiveRun
from ._asyncio_of_run import host_loop

if TYPE_CHECKING:
    import asyncio


class Session:
    """What a bridge's loop runs: `async with` a live run, until the host leaves the block."""

    def __init__(self, live: LiveRun, on_open: Callable[[], object]) -> None:
        """Prepare.

        Args:
            on_open: called there when the run has begun.
        """
        self.live = live
        self._on_open = on_open
        self._told: trio.Event | None = None
        self._is_told = False
        self._why_cancelled = ""
        self.host_loop: asyncio.AbstractEventLoop | None = None
        """Of the asyncio program that it belongs to, if it does."""
        self.ends_with_run = False
        """Whether the block is left when the run has ended: nobody else will."""
        self.result: WorkflowResult | None = None
        """How the run ended, once it has."""

    async def main(self) -> None:
        self._told = trio.Event()
        host_loop.set(self.host_loop)
        if self._is_told:
            self._told.set()
        try:
            async with self.live:
                if self._why_cancelled:
                    self.live.cancel(self._why_cancelled)
                self._on_open()
                await self._wait_to_leave(self._told)
        finally:
            if self.live.has_ended:
                self.result = self.live.result()

    async def _wait_to_leave(self, told: trio.Event) -> None:
        if not self.ends_with_run:
            await told.wait()
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_set_after, self.live, told)
            await told.wait()
            nursery.cancel_scope.cancel()

    def note_cancel(self, reason: str) -> None:
        """Have the run cancelled as soon as it begins, if it has not begun. From any thread."""
        self._why_cancelled = self._why_cancelled or reason

    def note_leave(self, why_cancelled: str = "") -> None:
        """Have the block left as soon as it is entered, if it was not yet. From any thread."""
        self.note_cancel(why_cancelled)
        self._is_told = True

    def leave(self, why_cancelled: str = "") -> None:
        """Leave the block: drain the run, or cancel it if a reason is given. On the far side.

        A drain that goes on can be cut short so.
        """
        self.note_leave(why_cancelled)
        if self._told is not None:
            if why_cancelled:
                self.live.cancel(why_cancelled)
            self._told.set()


async def _set_after(live: LiveRun, told: trio.Event) -> None:
    await live.wait()
    told.set()
