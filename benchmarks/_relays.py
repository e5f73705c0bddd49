"""Source -> five relays -> sink, with everything on, beside the peers."""

from collections.abc import Callable
from functools import partial

from ._load import Load, time_workflow
from ._measure import Contest, Sample, Scale
from ._peers import is_installed, time_anyio_chain, time_asyncio_chain, time_trio_chain
from ._pipelines import HOPS, RELAYS, STYLES, chain

MESSAGES = 100_000


def time_chain(style: str, messages: int, capacity: float = 64) -> float:
    """Return ns per message and hop."""
    load = Load(messages)
    return time_workflow(chain(style, capacity=capacity), load, messages * HOPS)


def relays(scale: Scale) -> Contest:
    fast = scale.n(MESSAGES)
    # Ten times slower each: a fifth of the messages says the same in less time.
    slow = scale.n(MESSAGES // 5)
    variants: dict[str, Callable[[], Sample]] = {
        f"trouper, {style}": partial(time_chain, style, fast) for style in STYLES
    }
    variants["asyncio.Queue"] = partial(time_asyncio_chain, fast, RELAYS, 64)
    if is_installed("uvloop"):
        variants["asyncio.Queue on uvloop"] = partial(
            time_asyncio_chain, fast, RELAYS, 64, "uvloop"
        )
    variants["trio memory channel"] = partial(time_trio_chain, slow, RELAYS, 64)
    for backend in ("asyncio", "trio"):
        variants[f"anyio object stream on {backend}"] = partial(
            time_anyio_chain, slow, RELAYS, 64, backend
        )
    return Contest(
        name="relays",
        title="source -> 5 relays -> sink, capacity 64",
        unit="ns per hop",
        one_thread=True,
        variants=variants,
        baseline="trio memory channel",
    )


def relays_one(scale: Scale) -> Contest:
    n = scale.n(20_000)
    variants: dict[str, Callable[[], Sample]] = {
        f"trouper, {style}": partial(time_chain, style, n, 1)
        for style in ("async for + send", "receive + send", "generator")
    }
    variants["trio memory channel"] = partial(time_trio_chain, n, RELAYS, 1)
    variants["asyncio.Queue"] = partial(time_asyncio_chain, n, RELAYS, 1)
    return Contest(
        name="relays_one",
        title="the same at capacity 1: every message is a switch",
        unit="ns per hop",
        one_thread=True,
        variants=variants,
        baseline="trio memory channel",
    )
