"""What the send and the receive side of a channel have in common: life cycle and time slice."""

from abc import abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import trio

from ._channel_state import ChannelState, ChannelStatistics
from ._meter import Meter
from ._wait_line import Waiter


class ChannelEnd:
    """One handle of a channel. Handles are made by `open_channel` and by `clone()`."""

    def __init__(self, channel: ChannelState[Any], new_meter: Callable[[], Meter]) -> None:
        self._channel = channel
        self._new_meter = new_meter
        self._meter = new_meter()
        self._credit = self._granted = 0
        """Operations until the next look at the meter, and what it granted at the last one. After a
        batch the credit may be negative; once this end is closed it is never positive."""
        self._closed = False
        self._spare: Waiter[Any] | None = None

    def statistics(self) -> ChannelStatistics:
        """Return the state and the counts of the whole channel; also after `close()`."""
        return self._channel.statistics()

    @abstractmethod
    def close(self) -> None: ...

    @trio.lowlevel.enable_ki_protection
    async def aclose(self) -> None:
        """Close this end, then let others run: always a cancel point, closed in any case."""
        self.close()
        await trio.lowlevel.checkpoint()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def _renew_credit(self) -> None:
        """Look at the meter; let others run if the slice is spent.

        To be called before a message is placed or taken: a cancel here leaves nothing behind.
        """
        if not self._granted:
            # The first operation here. The time since this end was made is not its task's slice.
            self._begin_slice()
            return
        used = self._granted - self._credit
        self._credit = self._granted = self._meter.grant(used)
        if not self._credit:
            await self._let_others_run()

    async def _let_others_run(self) -> None:
        await trio.lowlevel.checkpoint()
        self._begin_slice()

    def _begin_slice(self) -> None:
        self._granted = self._meter.restart()
        self._credit = 0 if self._closed else self._granted
