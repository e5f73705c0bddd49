"""One edge of the graph, as the user declares it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from attrs import field, frozen

from ..channels._overflow import OverflowPolicy, check_capacity, check_overflow


@frozen(kw_only=True)
class Edge:
    """Settings of one edge; what is left out comes from the receiving node.

    `depends_on={"samples": trouper.Edge(capacity=256, overflow="latest")}`
    """

    capacity: float | None = field(default=None)
    """Messages that may wait, 0 or more; 0 hands over only to a waiting reader."""
    overflow: OverflowPolicy | None = field(default=None)
    feedback: bool = False
    """This edge closes a cycle. It never blocks its sender."""
    keep_dropped: bool = False
    """Put what overflow drops into the dead letters; otherwise it is only counted."""

    def __attrs_post_init__(self) -> None:
        overflow = "block" if self.overflow is None else self.overflow
        check_overflow(overflow, owner="Edge")
        if self.capacity is not None:
            check_capacity(self.capacity, overflow=overflow, owner="Edge")
        if self.feedback and overflow in ("fail", "block") and self.capacity is not None:
            raise ValueError(
                f"a feedback edge never blocks, so capacity={self.capacity} has no effect with "
                f"overflow={overflow!r}; leave the capacity out, or choose a policy that drops"
            )


PLAIN_EDGE = Edge()
"""Of every entry without settings."""


class Upstream(msgspec.Struct, frozen=True, gc=False):
    """One resolved entry of `depends_on`."""

    key: str
    """What keyed fan-in calls it: `node`, or `node.output`."""
    node: str
    output: str | None
    edge: Edge


DependsOn = str | Callable[..., Any] | Iterable[Any] | Mapping[Any, Edge] | None
"""A name or node object, or several; a mapping gives each edge its settings."""

Edge.__module__ = "trouper"
