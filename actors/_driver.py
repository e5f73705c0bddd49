"""Run a generator whose yields are sends.

`yield x` behaves exactly as `await ctx.send(x)`: this task performs the send itself, and any
exception of that send, Cancelled included, goes into the generator at its `yield`. So scopes and
nurseries around a yield work, and context variables hold.
"""

from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, cast

from ..channels._context import message_context
from ..channels._envelope import Envelope
from ..channels._inbox import EndOfInput
from ..channels._outlet import EndOfOutput, Outlet
from ._lease import NO_REPEAT
from ._mailbox import Mailbox
from ._workers_outputs import SharedLineage

_sent_in = message_context.get


async def drive_generator(body: AsyncGenerator[Any, None], box: Mailbox, outlet: Outlet) -> None:
    """Iterate a body and send what it yields.

    A yield is not sent when it is the same object as the directly preceding `send`, with no
    receive, send or yield between (the seed's `Monitor` does both); it is counted as repeated.
    """
    try:
        async for value in body:
            lane = outlet.one
            if lane is None or (seq := lane.sent + 1) > lane.limit or box.repeat is not NO_REPEAT:
                if box.repeat is not NO_REPEAT or not outlet.put_first(value):
                    await _yield_slow(body, value, box, outlet)
                continue
            leased = box.leased
            if leased is box.root:
                origin = None if leased is None else box.next_origin()
            else:
                box.root = leased
                box.emitted = 1
                origin = leased.origin or (leased.source, leased.seq)  # type: ignore[union-attr]  # no root
            outlet.last = value
            lane.sent = seq
            lane.buffer.append(Envelope(value, lane.source, seq, 1, _sent_in(), origin))
    finally:
        with suppress(StopAsyncIteration):  # closed in vain before: what that raised is on its way
            await body.aclose()


async def _yield_slow(
    body: AsyncGenerator[Any, None], value: Any, box: Mailbox, outlet: Outlet
) -> None:
    """Send one yielded value; if that fails, go on with what the generator makes of the failure."""
    has_heard = False
    while True:
        repeated, leased = box.repeat
        box.repeat = NO_REPEAT
        if repeated is value and leased is box.leased:
            box.repeated += 1
            return
        try:
            await outlet.put(value)
            return
        except BaseException as error:
            if isinstance(error, EndOfOutput):
                if has_heard:
                    # It goes on although it was told: a `finally` may, a loop would for ever.
                    return await _close(body)
                has_heard = True
            try:
                value = await body.athrow(error)
            except StopAsyncIteration:
                return


async def _close(body: AsyncGenerator[Any, None]) -> None:
    """Close a generator; a nursery that it is closed in wraps the GeneratorExit in a group."""
    try:
        await body.aclose()
    except BaseExceptionGroup as group:
        if group.split(GeneratorExit)[1] is not None:
            raise


def is_own_end(error: BaseException, box: Mailbox) -> bool:
    """Return whether an error is the end of this actor's own input or output, and nothing else."""
    if isinstance(error, BaseExceptionGroup):
        # Several of its tasks may have come to the end together (`ctx.leased()`).
        members = cast("tuple[BaseException, ...]", error.exceptions)
        return all(is_own_end(member, box) for member in members)
    if isinstance(error, EndOfInput):
        return error.inbox is box
    return isinstance(error, EndOfOutput) and _sender(error.lineage) in (box, box.reader)


def _sender(lineage: object) -> object:
    """Return whose output has ended: several leases may share one."""
    return lineage.box if isinstance(lineage, SharedLineage) else lineage
