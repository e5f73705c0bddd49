"""What a context made by hand has for a mailbox and an output: they only say what to do instead."""

from collections.abc import Sequence
from typing import Any, NoReturn

from ..channels._outlet import Outlet
from ._mailbox import Mailbox


def _refuse(what: str) -> NoReturn:
    raise NotImplementedError(
        f"{what}: this ActorContext is connected to no run; run the actor in a Workflow "
        "(await wf.execute(), or trouper.run(wf)), which gives it a connected context"
    )


class _Unconnected(Mailbox):
    __slots__ = ()

    async def take_slow(self) -> NoReturn:
        _refuse("receive")

    async def take_batch(self, most: int) -> NoReturn:
        _refuse("receive_many")

    def refuse_if_unconnected(self) -> None:
        _refuse("async for")


class _NoOutlet(Outlet):
    __slots__ = ()

    async def put(self, payload: Any) -> None:
        _refuse("send")

    async def put_many(self, payloads: Sequence[Any]) -> None:
        _refuse("send_many")


UNCONNECTED: Mailbox = _Unconnected("")
NO_OUTLET: Outlet = _NoOutlet(UNCONNECTED)
