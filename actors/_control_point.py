"""Where an actor's task meets what was asked of it: all the waiting, none of the thinking.

A mailbox has none of this until something is asked. Then `divert` ends every short cut of the
message path, so that the next receive or send comes by here; once nothing is left to do, the short
cuts are back.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from ..channels._inbox import EndOfInput
from ..channels._parking import ParkingBay
from ._control import NOTHING_ASKED, Asked, Step, before_receiving, before_sending
from ._rate import Bucket, Rate
from ._watch import Down, OnDown

if TYPE_CHECKING:
    from ._mailbox import Mailbox


def deaf(_notice: Down) -> None:
    """Hear of an end without doing anything."""


class ControlPoint:
    """One actor's control lane, and its rate limit."""

    __slots__ = ("_bucket", "_changed", "_is_telling", "_pending", "asked", "box", "hear", "rate")

    def __init__(self, box: "Mailbox", *, hear: OnDown = deaf, rate: Rate | None = None) -> None:
        self.box = box
        self.hear = hear
        """Called in the actor's task with each notice; may raise, which is the actor's failure."""
        self.asked: Asked = NOTHING_ASKED
        self.rate = rate
        self._bucket: Bucket | None = None
        self._pending: tuple[Callable[[], None], ...] = ()
        """What takes over new settings, in the order of asking."""
        self._changed = ParkingBay()
        self._is_telling = False

    @property
    def is_asked(self) -> bool:
        """Whether anything but the rate is to be looked at."""
        return self.asked != NOTHING_ASKED

    # -- from outside ------------------------------------------------------------------------

    def ask(self, asked: Asked) -> None:
        """Let something else hold from now on; a task that waits looks at it at once."""
        self.asked = asked
        self._settle_in()
        self.box.nudge()
        self._changed.wake()

    def configure(self, take_over: Callable[[], None]) -> None:
        """Call `take_over` in the actor's task, at the next boundary."""
        self._pending = (*self._pending, take_over)
        self.ask(self.asked.configure())

    def limit(self, rate: Rate | None) -> None:
        """Change the rate limit now, also for a task that waits for its turn."""
        if rate is None or self._bucket is None:
            self._bucket = None
        else:
            self._bucket = self._bucket.at_rate(rate, trio.current_time())
        self.rate = rate
        self.ask(self.asked)

    def begin(self) -> None:
        """Start an incarnation: a boundary, at which nothing is in hand."""
        self._take_over()
        self._is_telling = False
        self.asked = self.asked.begin()
        self._settle_in()

    # -- in the actor's task -----------------------------------------------------------------

    async def attend(self) -> None:
        """Do what was asked, before a message is received.

        Raises:
            EndOfInput: it was asked to stop.
            trio.BusyResourceError: `on_down` of a watch asked for a message.
        """
        box = self.box
        if self._is_telling:
            raise trio.BusyResourceError(
                f"on_down of a watch of {box.name!r} asked for a message: a notice is handled "
                "between two messages; let it return first"
            )
        try:
            while True:
                step = before_receiving(self.asked, comes_again=bool(box.returned))
                if step is Step.GO:
                    break
                if step is Step.END:
                    if self.asked.ending == "killed":
                        # Its scope is cancelled: it was only woken before it heard of that.
                        await trio.lowlevel.checkpoint()
                    raise EndOfInput(f"{box.name!r} was asked to end: {self.asked.ending}", box)
                # Nothing is in hand: what is done here inherits nothing of the last message.
                box.bind(box.base)
                await self._do(step)
        except BaseException:
            box.bind(box.base)
            raise
        self._settle_in()

    async def admit(self, most: int = 1) -> int:
        """Return how many messages, up to `most`, may pass now; 0: there was a wait, look again."""
        if before_receiving(self.asked, comes_again=bool(self.box.returned)) is not Step.GO:
            return 0
        try:
            return await self._await_turn(most)
        except BaseException:
            self.box.bind(self.box.base)
            raise

    def allows(self, most: int) -> int:
        """Return how many messages, up to `most`, the rate lets pass now."""
        bucket = self._refill()
        return most if bucket is None else min(most, bucket.whole())

    def spend(self, messages: int = 1) -> None:
        """Count messages that have passed."""
        if self._bucket is not None:
            self._bucket = self._bucket.spend(messages)

    def lets_out(self, leased: object) -> bool:
        if leased is not None or self._is_telling:
            return True
        if before_sending(self.asked) is not Step.GO:
            return False
        bucket = self._refill()
        return bucket is None or bucket.whole() > 0

    def pays(self, leased: object) -> bool:
        if not self.lets_out(leased):
            return False
        if leased is None and not self._is_telling:
            self.spend()
        return True

    async def let_out(self) -> None:
        """Do what was asked, before such a message is sent; look again afterwards."""
        step = before_sending(self.asked)
        if step is Step.GO:
            await self._await_turn(1)
        else:
            await self._do(step)
        self._settle_in()

    # -- inner parts -------------------------------------------------------------------------

    async def _do(self, step: Step) -> None:
        if step is Step.CONFIGURE:
            self._take_over()
            self.asked = self.asked.configured()
        elif step is Step.TELL:
            await self._tell()
        else:
            await self._changed.park()

    def _take_over(self) -> None:
        pending, self._pending = self._pending, ()
        for take_over in pending:
            take_over()

    async def _tell(self) -> None:
        notice = self.asked.notices[0]
        self.asked = self.asked.told()
        self._is_telling = True
        try:
            answer = self.hear(notice)
            if inspect.isawaitable(answer):
                await answer
        finally:
            self._is_telling = False

    async def _await_turn(self, most: int) -> int:
        turn = self.allows(most)
        if not turn and self._bucket is not None:
            with trio.move_on_at(self._bucket.ready_at()):
                await self._changed.park()
        return turn

    def _refill(self) -> Bucket | None:
        if self.rate is None:
            return None
        now = trio.current_time()
        bucket = self._bucket
        self._bucket = Bucket.full(self.rate, now) if bucket is None else bucket.refilled(now)
        return self._bucket

    def _settle_in(self) -> None:
        """End the short cuts of the message path, or give them back when nothing is to be done."""
        if self.is_asked or self.rate is not None:
            self.box.divert(self)
        elif self.box.control is self:
            # Or else something was asked anew before its task has looked here.
            self.box.divert(None)
