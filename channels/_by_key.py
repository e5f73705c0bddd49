"""`fan_out=Partition(...)`: each message to the one reader that it belongs to."""

from reprlib import repr as shortened
from typing import Any

from ._choice import Choice, choice_of
from ._lane import Lane
from ._lineage import Lineage
from ._meter import Meter
from ._partition import (
    Partition,
    PartitionError,
    call_chooser,
    first_reader_of,
    number_of,
    reader_of,
)
from ._routing import RoutingOutlet

MOST_KNOWN = 4096
"""Keys whose reader is remembered."""


class PartitionedOutlet(RoutingOutlet):
    """To the reader that the message's key belongs to, or whose name it says."""

    __slots__ = ("_known", "partition", "targets")

    def __init__(
        self,
        lineage: Lineage,
        meter: Meter | None = None,
        *,
        partition: Partition,
        beside: Meter | None = None,
        hold: int = 0,
        skip: bool = False,
    ) -> None:
        super().__init__(lineage, meter, beside=beside, hold=hold, skip=skip)
        self.partition = partition
        self.targets: dict[str, Lane] = {}
        """By name, when that is what the user's function tells."""
        self._known: dict[Any, tuple[int, Lane]] = {}
        """Key -> its hash and its first reader, of the keys seen of late: hashing takes longer."""

    def add_lane(self, *lanes: Lane) -> None:
        # Nodes of one inner workflow know each other by their own names.
        scope = self.lineage.name.rpartition("/")[0] + "/"
        for lane in lanes:
            self.targets[lane.target] = self.targets[lane.target.removeprefix(scope)] = lane
        self._known.clear()
        super().add_lane(*lanes)

    def remove_lane(self, lane: Lane) -> None:
        self._known.clear()
        super().remove_lane(lane)

    def refresh(self) -> None:
        super().refresh()
        if self.partition.to is not None:
            self.one = None  # whose name is said has to be looked at, also with a single reader

    def ask(self, payload: Any) -> Any:
        answer = call_chooser(self.lineage.name, self.partition, payload)
        if not self.readers:
            return None
        if self.partition.key is None:
            return 0, self._named(answer)
        try:
            known = self._known.get(answer)
        except TypeError:  # it has no hash; said below
            known = None
        return self._learn(answer, payload) if known is None else known

    def _learn(self, key: Any, payload: Any) -> tuple[int, Lane]:
        number = number_of(self.lineage.name, key, payload)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        lane = self.readers[first_reader_of(number, len(self.readers))]
        self._known[key] = known = (number, lane)
        return known

    def _named(self, name: Any) -> Lane:
        lane = self.targets.get(name) if isinstance(name, str) else None
        if lane is None:
            known = ", ".join(repr(each.target) for each in self.readers)
            raise PartitionError(
                f"the function `to` of fan_out=Partition(...) of {self.lineage.name!r} gave "
                f"{shortened(name)}, but no reader of it is called so; return one of: {known}"
            )
        return lane

    def choice(self, answer: Any, first: Lane | None) -> tuple[Choice, Lane | None]:
        if answer is None:
            return Choice.OVER, None
        number, lane = answer
        if lane.sent < lane.limit:
            return Choice.TAKE, lane
        if self.partition.key is not None and lane.is_over():
            at = reader_of(number, self.readers)
            if at < 0:
                return Choice.OVER, None
            lane = self.readers[at]
        return choice_of(lane), lane

    async def wait_room(self, lane: Lane | None) -> None:
        assert lane is not None
        await lane.wait_room()

    def put_at_once(self, payload: Any, answer: Any) -> bool:
        choice, lane = self.choice(answer, None)
        if choice is not Choice.TAKE:
            return False
        self._credit -= 1
        self._place_at(lane, payload, False)
        return True
