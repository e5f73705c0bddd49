"""Messages of several lanes: merged, zipped, or the newest of each."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from harness.edges import connect, drain, drain_payloads, open_outlet, take
from trouper import EndOfInput, MessageContext, OperationMeter
from trouper.channels._context import message_context
from trouper.channels._fan_in import FanIn, open_join
from trouper.channels._inbox import Inbox
from trouper.channels._lane import Lane
from trouper.channels._outlet import Outlet


def open_fan_in(
    fan_in: FanIn, names: str = "ab", capacity: float = 64, operations: int = 10_000
) -> tuple[dict[str, Outlet], dict[str, Lane], Inbox]:
    inbox = Inbox("r", OperationMeter(operations), open_join(fan_in))
    outlets = {name: open_outlet(name) for name in names}
    lanes = {name: connect(outlets[name], inbox, capacity) for name in names}
    return outlets, lanes, inbox


# -- merge -----------------------------------------------------------------------------------


@pytest.mark.parametrize("operations", [1, 3, 10_000])
async def test_merge_takes_turns_and_keeps_the_order_of_each_lane(operations: int) -> None:
    outlets, _, inbox = open_fan_in("merge", "abc", operations=operations)
    for name, outlet in outlets.items():
        await outlet.put_many([f"{name}{number}" for number in range(3)])
        outlet.end()
    taken = await drain_payloads(inbox)
    assert taken == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


async def test_a_busy_lane_does_not_hold_up_the_others() -> None:
    outlets, _, inbox = open_fan_in("merge", "abc")
    await outlets["a"].put_many(range(60))
    assert [(await take(inbox)).source for _ in range(3)] == ["a"] * 3
    await outlets["b"].put_many(range(2))
    await outlets["c"].put(0)
    # Those that come late are at the back of the queue, and from then on it is turn by turn.
    assert [(await take(inbox)).source for _ in range(7)] == list("abcabaa")


async def test_a_lane_of_capacity_0_gets_its_turn_beside_one_that_never_runs_empty() -> None:
    outlets, _, inbox = open_fan_in("merge", "a", capacity=100_000, operations=64)
    direct = open_outlet("direct")
    connect(direct, inbox, 0)
    await outlets["a"].put_many(range(20_000))
    counts: Counter[str] = Counter()
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            while True:
                await direct.put("x")

        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        for _ in range(10_000):
            counts[(await take(inbox)).source] += 1
        nursery.cancel_scope.cancel()
    # At least once in ten slices of 64 operations.
    assert counts["direct"] > 10_000 / 64 / 10
    assert counts["a"] > 9_000


# -- zip -------------------------------------------------------------------------------------


async def test_zip_makes_one_of_each_in_the_order_of_the_lanes() -> None:
    outlets, lanes, inbox = open_fan_in("zip")
    await outlets["b"].put_many(["x", "y", "z"])
    await outlets["a"].put_many([1, 2, 3])
    outlets["a"].end()
    taken = await drain(inbox)
    pairs = [(1, "x"), (2, "y"), (3, "z")]
    assert [each.payload for each in taken] == [{"a": n, "b": c} for n, c in pairs]
    assert [list(each.payload) for each in taken] == [["a", "b"]] * 3
    assert [(each.source, each.seq, each.id) for each in taken] == [
        ("r@join", n, f"r@join:{n}") for n in (1, 2, 3)
    ]
    with pytest.raises(TypeError):
        taken[0].payload["a"] = 9
    assert [lane.peak for lane in lanes.values()] == [3, 3]


async def test_zip_ends_with_the_first_lane_that_ends_also_while_the_reader_waits() -> None:
    """P16, R102: without demand too; what the other lane holds is dropped by name."""
    outlets, lanes, inbox = open_fan_in("zip")
    ended: list[bool] = []

    async def wait() -> None:
        with pytest.raises(EndOfInput):
            await inbox.wait()
        ended.append(True)

    await outlets["b"].put("left over")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert ended == []
        outlets["a"].end()
    assert ended == [True]
    inbox.close()
    assert lanes["b"].dropped == {"reader_ended": 1}


async def test_zip_completes_what_was_sent_before_the_end() -> None:
    """P16: the side that ended first still holds a message."""
    outlets, _, inbox = open_fan_in("zip")
    await outlets["a"].put_many([1, 2])
    outlets["a"].end()
    assert not inbox.at_end()
    await outlets["b"].put("x")
    assert (await take(inbox)).payload == {"a": 1, "b": "x"}
    assert not inbox.at_end()
    await outlets["b"].put("y")
    assert [each.payload for each in await drain(inbox)] == [{"a": 2, "b": "y"}]


@pytest.mark.parametrize("capacity", [0, 1, 3])
async def test_zip_holds_up_the_faster_side(capacity: int) -> None:
    outlets, lanes, inbox = open_fan_in("zip", capacity=capacity)
    taken: list[Mapping[str, Any]] = []

    async def read() -> None:
        taken.extend(await drain_payloads(inbox))

    async def produce(name: str, pace: int) -> None:
        for number in range(20):
            for _ in range(pace):
                await trio.lowlevel.checkpoint()
            await outlets[name].put(number)
            assert abs(lanes["a"].sent - lanes["b"].sent) <= capacity + 1
        outlets[name].end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(produce, "a", 0)
        nursery.start_soon(produce, "b", 7)
    assert taken == [{"a": number, "b": number} for number in range(20)]


# -- latest ----------------------------------------------------------------------------------


async def test_latest_waits_for_one_of_each_then_gives_the_newest() -> None:
    outlets, lanes, inbox = open_fan_in("latest")
    await outlets["a"].put_many([1, 2, 3])
    assert not inbox.has_message()
    await outlets["b"].put("x")
    assert (await take(inbox)).payload == {"a": 3, "b": "x"}
    assert lanes["a"].dropped == {"superseded": 2}
    await outlets["b"].put("y")
    await outlets["a"].put(4)
    assert (await take(inbox)).payload == {"a": 4, "b": "y"}
    await outlets["b"].put("z")
    assert (await take(inbox)).payload == {"a": 4, "b": "z"}
    assert (lanes["a"].dropped, lanes["b"].dropped) == ({"superseded": 2}, {})


async def test_latest_repeats_no_pair_on_two_pulls() -> None:
    """P16"""
    outlets, _, inbox = open_fan_in("latest")
    await outlets["a"].put(1)
    await outlets["b"].put("x")
    await take(inbox)
    assert not inbox.has_message()
    assert not inbox.has_message()
    with trio.move_on_after(0) as scope:
        await inbox.wait()
    assert scope.cancelled_caught


async def test_latest_ends_when_all_have_ended_and_the_newest_is_taken() -> None:
    outlets, _, inbox = open_fan_in("latest")
    await outlets["a"].put(1)
    outlets["a"].end()
    await outlets["b"].put_many(["x", "y"])
    assert (await take(inbox)).payload == {"a": 1, "b": "y"}
    assert not inbox.at_end()
    await outlets["b"].put("z")
    outlets["b"].end()
    assert [each.payload for each in await drain(inbox)] == [{"a": 1, "b": "z"}]


async def test_latest_never_holds_up_a_fast_side_while_a_slow_one_has_no_value_yet() -> None:
    outlets, lanes, inbox = open_fan_in("latest", capacity=2)

    async def produce() -> None:
        for number in range(50):
            await outlets["a"].put(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.wait)
        with trio.fail_after(200):
            await produce()
        await outlets["b"].put("x")
    assert inbox.pop().payload == {"a": 49, "b": "x"}
    assert lanes["a"].dropped == {"superseded": 49}
    assert 1 <= lanes["a"].peak <= 2


async def test_what_latest_has_taken_but_not_made_into_anything_is_dropped_on_close() -> None:
    outlets, lanes, inbox = open_fan_in("latest", "abc")
    await outlets["a"].put_many([1, 2])
    await outlets["b"].put("x")
    assert not inbox.has_message()
    inbox.close()
    inbox.close()
    assert {name: lane.dropped for name, lane in lanes.items()} == {
        "a": {"superseded": 1, "reader_ended": 1},
        "b": {"reader_ended": 1},
        "c": {},
    }


def ledger_closes(lane: Lane, handed_out: int) -> bool:
    return lane.sent == handed_out + lane.dropped.get("superseded", 0) + lane.queued


@given(script=st.lists(st.sampled_from("abctt"), max_size=60))
def test_latest_hands_out_or_counts_every_message(script: list[str]) -> None:
    """P16: whatever the order of sends and takes; and every message has something new in it."""

    async def main() -> None:
        outlets, lanes, inbox = open_fan_in("latest", "abc")
        seen: list[Mapping[str, int]] = []
        for number, step in enumerate(script):
            if step != "t":
                await outlets[step].put(number)
            elif inbox.has_message():
                seen.append((await take(inbox)).payload)
        for outlet in outlets.values():
            outlet.end()
        seen += await drain_payloads(inbox)
        assert all(one != other for one, other in pairwise(seen))
        for name, lane in lanes.items():
            numbers = [payload[name] for payload in seen]
            assert numbers == sorted(numbers)
            held = 0 if seen else min(1, lane.sent)  # waits for ever for a partner
            assert ledger_closes(lane, len(set(numbers)) + held)

    trio.run(main)


# -- contexts --------------------------------------------------------------------------------


async def put_with(outlet: Outlet, payload: object, context: MessageContext) -> None:
    token = message_context.set(context)
    await outlet.put(payload)
    message_context.reset(token)


@pytest.mark.parametrize("fan_in", ["zip", "latest"])
async def test_a_joined_message_has_a_merged_context(fan_in: FanIn) -> None:
    """X2: links to all parts, the earliest deadline, the first of each custom key, conflicts."""
    outlets, _, inbox = open_fan_in(fan_in, "abc")
    contexts = {
        "a": MessageContext(run="n", traceparent="t-a", custom_context={"k": "a", "only": "a"}),
        "b": MessageContext(run="n", traceparent="t-b", custom_context={"k": "b"}, deadline=9.0),
        "c": MessageContext(run="n", custom_context={"k": "a", "more": "c"}, deadline=5.0),
    }
    for name in "cba":
        await put_with(outlets[name], name, contexts[name])
    envelope = await take(inbox)
    assert envelope.context.links == ("t-a", "t-b")
    assert envelope.context.deadline == 5.0
    assert envelope.context.custom_context == {"k": "a", "only": "a", "more": "c"}
    assert inbox.join is not None
    assert inbox.join.conflicts == 1


async def test_parts_of_one_context_need_no_merging() -> None:
    """X2: a diamond behind one message."""
    outlets, _, inbox = open_fan_in("zip")
    context = MessageContext(run="n", traceparent="t", deadline=1.0)
    for name in "ab":
        await put_with(outlets[name], name, context)
    assert (await take(inbox)).context is context
    assert inbox.join is not None
    assert inbox.join.conflicts == 0


def test_merge_needs_no_join() -> None:
    assert open_join("merge") is None
