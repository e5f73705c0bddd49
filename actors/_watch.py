"""Who wants to hear of whose end. Nothing waits here.

An actor that watches a node is told once when that node has ended for good, whatever way; a
restart is no end. A watch belongs to an incarnation: the next one watches anew, if it wants to.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from attrs import frozen

DownReason = Literal["normal", "failed", "stopped", "killed", "cancelled"]


class Down(msgspec.Struct, frozen=True, kw_only=True):
    """A node that was watched has ended."""

    node: str
    reason: DownReason
    """`normal`: its work is done; `stopped` and `killed`: by `run.stop` and `run.kill`."""
    at: float
    """When this notice was made, in seconds since the run began."""


OnDown = Callable[[Down], object]
"""Called with the notice; what it returns is awaited if that can be: it may be async."""


class WatchedDown(Exception):
    """A node that this actor watches has ended, and `ctx.watch` was given no `on_down`.

    Attributes:
        notice: what is known of it.
    """

    def __init__(self, notice: Down) -> None:
        super().__init__(
            f"{notice.node!r}, which this actor watches, has ended ({notice.reason}); to go on "
            f"without it, give ctx.watch({notice.node!r}, on_down=...)"
        )
        self.notice = notice


@frozen(eq=False)
class Watch:
    """One actor's wish to hear of one node's end."""

    watcher: str
    incarnation: int
    node: str
    on_down: OnDown | None


class Watches:
    """Every watch of a run, by the node that is watched, and by who watches."""

    def __init__(self) -> None:
        self._by_node: dict[str, dict[str, Watch]] = {}
        self._by_watcher: dict[str, set[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_node)

    def add(self, watch: Watch) -> bool:
        """Keep a watch; return whether it is new. The same one again changes nothing (case P9).

        Raises:
            ValueError: this incarnation watches that node with another `on_down`.
        """
        known = self.find(watch.watcher, watch.node, watch.incarnation)
        if known is None:
            self._by_node.setdefault(watch.node, {})[watch.watcher] = watch
            self._by_watcher.setdefault(watch.watcher, set()).add(watch.node)
            return True
        if known.on_down != watch.on_down:
            raise ValueError(
                f"{watch.watcher!r} watches {watch.node!r} already, with on_down="
                f"{known.on_down!r}; call ctx.unwatch({watch.node!r}) first to change it"
            )
        return False

    def remove(self, watcher: str, node: str) -> None:
        """Forget a watch, if there is one."""
        watches = self._by_node.get(node, {})
        watches.pop(watcher, None)
        if not watches:
            self._by_node.pop(node, None)
        self._by_watcher.get(watcher, set()).discard(node)

    def forget(self, watcher: str) -> None:
        """Forget all that a node which is gone has watched. Who watches it is still to be told."""
        for node in tuple(self._by_watcher.get(watcher, ())):
            self.remove(watcher, node)
        self._by_watcher.pop(watcher, None)

    def find(self, watcher: str, node: str, incarnation: int) -> Watch | None:
        """Return the watch of that incarnation; None if it does not watch the node (any more)."""
        watch = self._by_node.get(node, {}).get(watcher)
        return watch if watch is not None and watch.incarnation == incarnation else None

    def of(self, node: str) -> Sequence[Watch]:
        """Return who is to be told of a node's end, in the order of asking."""
        return tuple(self._by_node.get(node, {}).values())


Down.__module__ = WatchedDown.__module__ = "trouper"
