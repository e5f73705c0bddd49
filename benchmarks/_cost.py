"""What each feature costs: the chain of relays with one thing changed at a time."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import trio

import trouper
from trouper.channels._context import message_context
from trouper.channels._envelope import NO_CONTEXT, Envelope
from trouper.channels._inbox import EndOfInput, Inbox
from trouper.channels._lane import Lane
from trouper.channels._lineage import Detached
from trouper.channels._outlet import Outlet

from ._load import Load, time_tasks, time_workflow
from ._measure import Contest, Sample, Scale
from ._pipelines import HOPS, RELAYS, Context, relay, sink, source

FAR = 1e9
"""Seconds: a deadline that never comes."""


async def source_of_contexts(ctx: Context) -> None:
    """Every message has a context of its own."""
    await ctx.deps.opened()
    for item in ctx.deps.stream():
        message_context.set(trouper.MessageContext(run="r", correlation_id="c"))
        await ctx.send(item)


async def source_of_deadlines(ctx: Context) -> None:
    """All messages share a context that has a deadline."""
    await ctx.deps.opened()
    message_context.set(trouper.MessageContext(run="r", deadline=trio.current_time() + FAR))
    for item in ctx.deps.stream():
        await ctx.send(item)


async def source_to_name(ctx: Context) -> None:
    await ctx.deps.opened()
    for item in ctx.deps.stream():
        await ctx.send(item, to="side")


async def relay_to_name(ctx: Context) -> None:
    async for message in ctx:
        await ctx.send(message, to="side")


async def relay_reading_envelope(ctx: Context) -> None:
    async for _ in ctx:
        envelope = ctx.message
        assert envelope is not None
        await ctx.send(envelope.payload)


async def relay_of_mappings(
    ctx: trouper.ActorContext[None, Load, Mapping[str, int], int],
) -> None:
    async for message in ctx:
        for value in message.values():
            await ctx.send(value)


async def sink_of_mappings(
    ctx: trouper.ActorContext[None, Load, Mapping[str, int], None],
) -> None:
    count = 0
    async for message in ctx:
        count += len(message)
    ctx.deps.arrived(count)


async def silent(ctx: Context) -> None:
    """A second upstream that sends nothing: it makes the input keyed."""


def _time(
    messages: int,
    *,
    first: Any = source,
    middle: Any = relay,
    last: Any = sink,
    output: str = "",
    keyed: bool = False,
    **options: Any,
) -> float:
    """Return ns per hop of a chain; `options` are those of every node that receives."""
    workflow = trouper.Workflow("cost")
    named: dict[str, Any] = {"outputs": {output: int}} if output else {}
    suffix = f".{output}" if output else ""
    workflow.actor(name="source", **named)(first)
    beside = ["silent"] if keyed else []
    if keyed:
        workflow.actor(name="silent")(silent)
    before = "source"
    for number in range(RELAYS):
        name = f"relay{number}"
        upstreams = [before + suffix, *beside]
        workflow.actor(name=name, depends_on=upstreams, **named, **options)(middle)
        before = name
    workflow.actor(name="sink", depends_on=[before + suffix, *beside], **options)(last)
    return time_workflow(workflow, Load(messages), messages * HOPS)


# -- the same chain on bare lanes: no lease, no lineage, no supervisor, no actor -----------------


async def _bare_send(outlet: Outlet, lane: Lane, item: Any) -> None:
    if len(lane.buffer) >= lane.limit:
        await outlet.put(item)
        return
    lane.sent = seq = lane.sent + 1
    lane.buffer.append(Envelope(item, lane.source, seq, 1, NO_CONTEXT))


async def _bare_source(outlet: Outlet, lane: Lane, load: Load) -> None:
    await load.opened()
    for item in load.stream():
        await _bare_send(outlet, lane, item)
    lane.end()


async def _bare_relay(inbox: Inbox, outlet: Outlet, lane: Lane) -> None:
    try:
        while True:
            await inbox.wait()
            while inbox.credit > 0:
                await _bare_send(outlet, lane, inbox.pop().payload)
    except EndOfInput:
        lane.end()


async def _bare_sink(inbox: Inbox, load: Load) -> None:
    count = 0
    try:
        while True:
            await inbox.wait()
            while inbox.credit > 0:
                inbox.pop()
                count += 1
    except EndOfInput:
        load.arrived(count)


def _bare_chain(load: Load) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        inboxes = [Inbox(f"inbox{number}") for number in range(HOPS)]
        lanes = [Lane(f"lane{number}", inbox.name, inbox) for number, inbox in enumerate(inboxes)]
        outlets = [Outlet(Detached(lane.source)) for lane in lanes]
        for inbox, lane, outlet in zip(inboxes, lanes, outlets, strict=True):
            inbox.add_lane(lane)
            outlet.add_lane(lane)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_bare_source, outlets[0], lanes[0], load)
            for inbox, outlet, lane in zip(inboxes, outlets[1:], lanes[1:], strict=False):
                nursery.start_soon(_bare_relay, inbox, outlet, lane)
            nursery.start_soon(_bare_sink, inboxes[-1], load)

    return run


def _time_bare(messages: int) -> float:
    load = Load(messages)
    return time_tasks(_bare_chain(load), load, messages * HOPS)


def cost(scale: Scale) -> Contest:
    n = scale.n(20_000)
    keyed: dict[str, Any] = {"middle": relay_of_mappings, "last": sink_of_mappings, "keyed": True}
    to_name: dict[str, Any] = {"first": source_to_name, "middle": relay_to_name, "output": "side"}
    changes: dict[str, dict[str, Any]] = {
        "full": {},
        "ctx.message read": {"middle": relay_reading_envelope},
        "another context with every message": {"first": source_of_contexts},
        "a deadline": {"first": source_of_deadlines},
        "validate=True": {"validate": True},
        "copy=True": {"copy": True},
        "keyed fan-in (merge)": keyed,
        "on_redelivery='skip'": {"on_redelivery": "skip"},
        "on_redelivery='hold'": {"on_redelivery": "hold"},
        "named output": to_name,
        "overflow='drop_oldest', no limit": {"overflow": "drop_oldest", "capacity": n + 1},
    }
    variants: dict[str, Callable[[], Sample]] = {"bare lanes": partial(_time_bare, n)}
    variants |= {name: partial(_time, n, **change) for name, change in changes.items()}
    return Contest(
        name="cost",
        title="what each feature costs (source -> 5 relays -> sink, `async for` + `send`)",
        unit="ns per hop",
        one_thread=True,
        variants=variants,
        baseline="full",
    )
