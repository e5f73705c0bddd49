"""`fan_out="balance"`: each message to whichever reader has room, in turns."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ._block import Block
from ._choice import Choice, choice_of, choose
from ._lane import Lane
from ._lineage import Lineage
from ._meter import Meter
from ._outlet import MOST_AT_ONCE
from ._parking import ParkingBay
from ._routing import RoutingOutlet


class BalancedOutlet(RoutingOutlet):
    """To whichever reader has room, in turns."""

    __slots__ = ("_bay", "_turn")

    def __init__(
        self,
        lineage: Lineage,
        meter: Meter | None = None,
        *,
        beside: Meter | None = None,
        hold: int = 0,
        skip: bool = False,
    ) -> None:
        super().__init__(lineage, meter, beside=beside, hold=hold, skip=skip)
        self._turn = 0
        self._bay = ParkingBay()
        """Where the sender waits for any of its readers: each of them wakes it."""

    def add_lane(self, *lanes: Lane) -> None:
        for lane in lanes:
            lane.blocked = self._bay
        super().add_lane(*lanes)

    def ask(self, payload: Any) -> Any:
        return None

    def choice(self, answer: Any, first: Lane | None) -> tuple[Choice, Lane | None]:
        if first is not None:
            return choice_of(first), first
        choice, at = choose(self.readers, self._turn)
        return choice, None if at < 0 else self.readers[at]

    def took(self, lane: Lane) -> None:
        self._next_turn(self.readers.index(lane))

    def _next_turn(self, at: int) -> None:
        self._turn = at + 1 if at + 1 < len(self.readers) else 0

    async def wait_room(self, lane: Lane | None) -> None:
        for each in self.readers if lane is None else (lane,):
            if not each.is_over():
                each.note_depth()
                each.reader.press(each)
        await self._bay.park()

    def put_at_once(self, payload: Any, answer: Any) -> bool:
        at = self._turn
        lane = self.readers[at]
        if lane.sent >= lane.limit and not lane.has_room():
            choice, at = choose(self.readers, at)
            if choice is not Choice.TAKE:
                return False
            lane = self.readers[at]
        self._next_turn(at)
        self._credit -= 1
        self._place_at(lane, payload, False)
        return True

    def put_part(self, payloads: Sequence[Any], at: int) -> int:
        """Place at once, in a block, what one reader can take of its share."""
        choice, index = choose(self.readers, self._turn)
        if choice is not Choice.TAKE:
            return 0
        lane = self.readers[index]
        if lane.overflow != "block" or lane.capacity == 0:
            return int(self.put_at_once(payloads[at], None))
        share = -(-len(payloads) // len(self.readers))
        room = int(min(lane.capacity - lane.queued, MOST_AT_ONCE, share))
        block = self._block(lane, payloads[at : at + room])
        if block.base is None:
            name = (self.names[lane], lane.sent + 1)
            block = msgspec.structs.replace(
                block, base=name, via=lane.source, first_n=1, keeps_id=True
            )
        else:
            self._note_block(lane, block)
        lane.place_many(block)
        self.last = block.payloads[-1]
        self._next_turn(index)
        self._credit -= len(block.payloads)
        return len(block.payloads)

    def _note_block(self, lane: Lane, block: Block) -> None:
        leased = self.lineage.leased
        assert leased is not None
        self.note_message(leased)
        self._placed |= dict.fromkeys(
            range(block.first_n, block.first_n + len(block.payloads)), lane
        )
