"""The ledger of every edge, under whatever handlers do and whatever order tasks run in.

A graph of a source, two relays in parallel, a join and a sink. What each handler does with each
message is drawn: acknowledge, reject, release, crash, early or late, single or in batches. The run
is looked at at drawn moments, and drained, cancelled or put right at a drawn one.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import trio
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

import trouper
from harness.ids import assert_edges_closed
from harness.schedules import run_on_mock_clock, schedules
from trouper import ActorContext, Backoff, Settled

FOR_EVER = trouper.RestartPolicy(max_restarts=10_000, backoff=Backoff(min=0, max=0))
MAX_ATTEMPTS = 3

ACTIONS = ("pass", "ack", "reject", "release", "crash", "wait")


@define
class Plan:
    """What handlers do, drawn: the n-th thing of each node."""

    actions: Sequence[str]
    batch: int
    delay: float | None
    fan_in: Any
    end: str
    looks: Sequence[float]
    sent: int
    done: Counter[str] = field(factory=Counter)

    def next(self, node: str) -> str:
        self.done[node] += 1
        place = self.done[node] * 7 + len(node)
        return self.actions[place % len(self.actions)]


plans = st.builds(
    Plan,
    actions=st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=12),
    batch=st.integers(1, 4),
    delay=st.sampled_from([None, 0.5, 3.0]),
    fan_in=st.sampled_from(["merge", "zip", "latest"]),
    end=st.sampled_from(["drain", "cancel", "short drain"]),
    looks=st.lists(st.floats(0, 5), max_size=4),
    sent=st.integers(1, 12),
)


async def handle(ctx: ActorContext, plan: Plan) -> None:
    """Do what is planned with each message in hand."""
    for envelope in ctx.messages:
        match plan.next(ctx.action.name):
            case "ack":
                ctx.ack(envelope)
            case "reject":
                ctx.reject("planned", envelope)
            case "release" if plan.done[ctx.action.name] < 40:
                ctx.release(envelope)
            case "crash":
                raise ValueError("planned")
            case "wait":
                await trio.sleep(1)
            case _:
                pass


def graph(plan: Plan, told: list[Settled]) -> trouper.Workflow:
    wf = trouper.Workflow("ledger")
    delay: dict[str, Any] = {} if plan.delay is None else {"redelivery_delay": plan.delay}
    options: dict[str, Any] = {"restart": FOR_EVER, "max_attempts": MAX_ATTEMPTS, **delay}

    @wf.actor
    async def source(ctx: ActorContext) -> AsyncIterator[int]:
        ctx.on_settled(told.append)
        for n in range(plan.sent):
            yield n
        await ctx.stopping.wait()

    async def relay(ctx: ActorContext) -> AsyncIterator[Any]:
        async for x in ctx:
            yield x
            await handle(ctx, plan)

    async def batches(ctx: ActorContext) -> None:
        while True:
            for x in await ctx.receive_many(plan.batch):
                await ctx.send(x)
            await handle(ctx, plan)

    wf.actor(name="left", depends_on="source", **options)(relay)
    wf.actor(name="right", depends_on="source", **options)(batches)
    wf.actor(name="join", depends_on=["left", "right"], fan_in=plan.fan_in, **options)(relay)
    wf.actor(name="sink", depends_on="join", **options)(batches)
    return wf


def look(edges: Sequence[trouper.EdgeReport]) -> None:
    """Assert that every edge adds up, and that no part of it is below 0."""
    for edge in edges:
        parts = (
            edge.acknowledged,
            edge.dead_lettered,
            edge.expired,
            sum(edge.dropped.values()),
            edge.queued,
            edge.leased,
        )
        assert min(parts) >= 0, edge
        assert edge.sent == sum(parts), edge


async def live(plan: Plan) -> None:
    told: list[Settled] = []
    async with graph(plan, told).open() as run:
        for pause in plan.looks:
            await trio.sleep(pause)
            edges = run.status().edges
            look(edges)
            if all(edge.is_closed for edge in edges):
                [sent, _] = [edge.sent for edge in edges if edge.source == "source"]
                assert len(told) == sent, "nothing is under way, so all is told"
        if plan.end == "cancel":
            run.cancel()
        elif plan.end == "short drain":
            await run.drain(2)
        else:
            await run.drain(1_000_000)
    result = await run.wait()
    look(result.edges)
    assert_edges_closed(result)
    check_told(plan, told, result)
    if plan.end == "drain":
        assert result.status == "completed"


def check_told(plan: Plan, told: list[Settled], result: trouper.WorkflowResult) -> None:
    """Each message of the source is told once; its outcome agrees with the dead letters."""
    assert max(Counter(each.id for each in told).values(), default=0) <= 1
    [left, right] = [edge for edge in result.edges if edge.source == "source"]
    assert left.sent == right.sent == len(told)
    by_reason = Counter(letter.reason for letter in result.dead_letters)
    failed = {each.payload for each in told if each.outcome == "dead_lettered"}
    if not by_reason["max_attempts"]:
        assert not failed
    if plan.end == "drain":
        assert not any(each.outcome == "abandoned" for each in told)
    for each in told:
        if each.is_delivered:
            gone = [n for n in result.dead_letters if n.reason == "max_attempts"]
            assert all(n.envelope.payload != each.payload for n in gone if n.node == "left")


@given(plan=plans, schedule=schedules())
@settings(max_examples=250, deadline=None)
def test_every_edge_adds_up_and_every_message_is_told_once(plan: Plan, schedule: Any) -> None:
    """V2, V3, V4, X12, X22, X26, B1t: at every moment, and at every end."""
    run_on_mock_clock(live, plan)
