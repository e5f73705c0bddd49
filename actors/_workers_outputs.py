"""Outputs that several leases of one actor send to: on whose account a task sends.

The outlets stay the actor's; what they ask of their sender is answered by the lease of the task
that runs. Child tasks that a handler starts send on account of its lease.
"""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..channels._lineage import Lineage
from ..channels._outlet import Outlet

if TYPE_CHECKING:
    from ._lease import Leases


class Lease(Protocol):
    """What is asked of a lease here."""

    held: "dict[HeldByLease, list[Any]]"
    """Outputs that wait for the acknowledgement of this lease's message."""

    @property
    def hub(self) -> "Leases": ...

    def emitted_now(self) -> int: ...


current_lease: ContextVar[Lease | None] = ContextVar("current_lease", default=None)
"""Whose message the running task handles, where an actor has several in hand."""


def _of_lease(name: str) -> Any:
    def read(lineage: "SharedLineage") -> Any:
        return getattr(lineage.lease() or lineage.box, name)

    def write(lineage: "SharedLineage", value: Any) -> None:
        setattr(lineage.lease() or lineage.box, name, value)

    return property(read, write)


class SharedLineage(Lineage):
    """The lineage of an output that several leases send to: that of the running task's lease."""

    __slots__ = ("box", "keeps_ids", "name")

    leased = _of_lease("leased")
    root = _of_lease("root")
    emitted = _of_lease("emitted")
    resend = _of_lease("resend")
    tracked = True
    """Anybody may be followed at any time: no message takes the short cut."""

    def __init__(self, box: "Leases") -> None:
        self.box = box
        self.name = box.name
        self.keeps_ids = box.keeps_ids

    def lease(self) -> Lease | None:
        lease = current_lease.get()
        # In a run inside of a handler, the lease is one of another mailbox.
        return None if lease is None or lease.hub is not self.box else lease


class HeldByLease:
    """The list of held outputs of one outlet: another one for each lease."""

    __slots__ = ("_lineage", "_own")

    def __init__(self, lineage: SharedLineage) -> None:
        self._lineage = lineage
        self._own: list[Any] = []

    def _list(self) -> list[Any]:
        lease = self._lineage.lease()
        return self._own if lease is None else lease.held.setdefault(self, [])

    def __len__(self) -> int:
        return len(self._list())

    def __getitem__(self, at: int) -> Any:
        return self._list()[at]

    def append(self, payload: Any) -> None:
        self._list().append(payload)

    def pop(self, at: int) -> Any:
        return self._list().pop(at)

    def clear(self) -> None:
        self._list().clear()


def share_output(outlet: Outlet, box: "Leases") -> None:
    """Let each task of an actor send on account of the message that it has in hand itself."""
    outlet.lineage = lineage = SharedLineage(box)
    if outlet.held is not None:
        outlet.held = cast("list[Any]", HeldByLease(lineage))
    outlet.refresh()


def hand_of(box: "Leases") -> "Leases":
    """Return whose message the running task has in hand: its lease's, or the actor's own."""
    lease = current_lease.get()
    if lease is None or lease.hub is not box.reader:
        return box
    return cast("Leases", lease)
