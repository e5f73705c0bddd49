"""What a channel raises: trio's errors and anyio's at once, each with its fix.

Code written for trio catches `trio.EndOfChannel`, code written for anyio `anyio.EndOfStream`; both
catch ours. The words are trio's: closed, you did it; broken, they did; end, it ended.
"""

import anyio
import trio


class EndOfChannel(trio.EndOfChannel, anyio.EndOfStream):
    """Every sender is closed and the buffer is empty: nothing more will come."""


class ClosedResourceError(trio.ClosedResourceError, anyio.ClosedResourceError):
    """You closed this object, before or while you used it."""


class BrokenResourceError(trio.BrokenResourceError, anyio.BrokenResourceError):
    """The other side is gone: what you send can reach nobody."""


class WouldBlock(trio.WouldBlock, anyio.WouldBlock):
    """The operation can't be done without waiting."""


for _public in (EndOfChannel, ClosedResourceError, BrokenResourceError, WouldBlock):
    _public.__module__ = "trouper"


def ended() -> Exception:
    return EndOfChannel(
        "every send channel is closed and the buffer is empty: stop receiving, "
        "as `async for` does by itself"
    )


def broken() -> Exception:
    return BrokenResourceError(
        "every receive channel is closed, so nobody can get this message: stop sending, "
        "or keep a receive channel open until the senders are done"
    )


def send_closed() -> Exception:
    return ClosedResourceError(
        "this send channel was closed on this side: give each task a clone() of its own to close"
    )


def receive_closed() -> Exception:
    return ClosedResourceError(
        "this receive channel was closed on this side: give each task a clone() of its own to close"
    )


def no_room() -> Exception:
    return WouldBlock("there is no room for this message now; `await send(...)` waits for room")


def nothing_there() -> Exception:
    return WouldBlock("there is no message now; `await receive()` waits for one")


_PLACED = "_trouper_placed"


def mark_placed(error: BaseException, placed: int, total: int) -> None:
    """Note on `error`, of whatever kind, how far `send_many` came."""
    setattr(error, _PLACED, placed)
    error.add_note(f"send_many had placed {placed} of {total} messages")


def placed_before(error: BaseException) -> int:
    """Return how many messages `send_many` had placed when `error` ended it.

    Works on everything that leaves `send_many`, `trio.Cancelled` too; catch that one inside the
    cancel scope and raise it again.

    Raises:
        ValueError: `error` did not come out of `send_many`.
    """
    placed: object = getattr(error, _PLACED, None)
    if isinstance(placed, int):
        return placed
    raise ValueError(f"{error!r} did not come out of send_many; catch it right around that call")
