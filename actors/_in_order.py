"""Messages that come again in the order in which they were sent, where several are in hand at once.

Several leases are given back in any order; whoever promises an order sorts them.
"""

from collections import deque
from typing import Any

from ._actor_context import ActorContext
from ._mailbox import Mailbox
from ._returns import Returned
from ._workers import Worker


def release_in_order(ctx: ActorContext[Any, Any, Any, Any]) -> None:
    """Give back the message in hand, no failed attempt, to come again in its place."""
    ctx.release()
    sort_returned(ctx)


def sort_returned(ctx: ActorContext[Any, Any, Any, Any]) -> None:
    """Bring what comes again into the order of its edge."""
    box: Mailbox = ctx._mailbox  # pyright: ignore[reportPrivateUsage]  # it is part of this layer
    hub = box.hub if isinstance(box, Worker) else box
    if len(hub.returned) > 1:
        hub.returned = deque(sorted(hub.returned, key=_place))


def _place(item: Returned) -> tuple[str, int]:
    return item.envelope.source, item.envelope.seq
