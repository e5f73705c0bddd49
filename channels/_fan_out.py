"""Who gets what a node sends: every reader, one that has room, or the one that it belongs to."""

from typing import Literal

from ._balance import BalancedOutlet
from ._by_key import PartitionedOutlet
from ._lineage import Lineage
from ._meter import Meter
from ._outlet import Outlet
from ._partition import Partition

FanOut = Literal["broadcast", "balance"] | Partition


def open_outlet(
    fan_out: FanOut, lineage: Lineage, *, beside: Meter, hold: int, skip: bool
) -> Outlet:
    """Return the sending end of an output for a node's `fan_out`; the rest as of `Outlet`."""
    if fan_out == "broadcast":
        return Outlet(lineage, beside=beside, hold=hold, skip=skip)
    if fan_out == "balance":
        return BalancedOutlet(lineage, beside=beside, hold=hold, skip=skip)
    return PartitionedOutlet(lineage, partition=fan_out, beside=beside, hold=hold, skip=skip)
