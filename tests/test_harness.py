"""The harness itself: what it proves must be able to fail."""

import msgspec
import pytest
import trio
from hypothesis import given, settings
from trio.testing import MockClock

import trouper
from harness.faults import Faults, Injected, deterministic
from harness.ids import Item, Ledger, assert_edges_closed
from harness.schedules import needs_drawn_orders, run_on_mock_clock, schedules


def chain(ledger: Ledger, faults: Faults, max_restarts: int = 5) -> trouper.Workflow:
    wf = trouper.Workflow("chain")
    wf.actor(ledger.source(40))
    wf.actor(depends_on="source", max_restarts=max_restarts)(ledger.relay(faults=faults))
    wf.actor(depends_on="relay")(ledger.sink())
    return wf


async def test_a_run_without_faults_is_exactly_once() -> None:
    ledger, faults = Ledger(), Faults()
    result = await chain(ledger, faults).execute(harness=faults.harness(operations=3))
    assert result.unwrap()["source"] == Item("source-39", 39)
    ledger.assert_exactly_once()
    ledger.assert_accounted(result)
    assert ledger.sinks["sink"].order == [f"source-{n}" for n in range(40)]


async def test_faults_come_at_the_chosen_visits() -> None:
    ledger, faults = Ledger(), Faults().fail("handle", "relay", visits=(3, 7))
    result = await chain(ledger, faults).execute(harness=faults.harness())
    assert faults.injected == [("handle", "relay", 3), ("handle", "relay", 7)]
    assert faults.visits["start", "relay"] == result.nodes["relay"].incarnation == 3
    ledger.assert_exactly_once()
    ledger.assert_accounted(result)


async def test_dead_letters_are_accounted_for() -> None:
    ledger, faults = Ledger(), Faults().fail("handle", "relay", visits=range(3, 6))
    result = await chain(ledger, faults).execute(harness=faults.harness())
    assert [letter.envelope.payload.id for letter in result.dead_letters] == ["source-2"]
    ledger.assert_accounted(result)
    with pytest.raises(AssertionError, match=r"never saw 1 ids \(source-2\)"):
        ledger.assert_at_least_once()


async def test_doubles_strangers_and_losses_are_found() -> None:
    ledger, faults = Ledger(), Faults().fail("sent", "relay")
    result = await chain(ledger, faults).execute(harness=faults.harness())
    ledger.assert_at_least_once()
    with pytest.raises(AssertionError, match=r"saw 1 ids \(source-0\) more than once"):
        ledger.assert_exactly_once()
    ledger.note("sink", [Item("ghost")])
    with pytest.raises(AssertionError, match="ghost"):
        ledger.assert_at_least_once()
    ledger.accepted.add("lost-1")
    with pytest.raises(AssertionError, match="lost-1"):
        ledger.assert_accounted(result)


async def test_edges_that_do_not_add_up_are_found() -> None:
    ledger, faults = Ledger(), Faults()
    result = await chain(ledger, faults).execute()
    good = result.edges[0]
    for change in ({"queued": 1, "sent": good.sent + 1}, {"sent": 1}, {"expired": -1}):
        edge = msgspec.structs.replace(good, **change)
        with pytest.raises(AssertionError):
            assert_edges_closed(msgspec.structs.replace(result, edges=(edge,)))


@pytest.mark.parametrize("seed", range(3))
async def test_the_same_seed_gives_the_same_faults(seed: int, autojump_clock: MockClock) -> None:
    """X3: as far as the harness goes."""
    traces: list[list[tuple[str, str, int]]] = []
    for _ in range(2):
        faults = Faults(seed).fail_randomly("handle", "relay", chance=0.2)
        ledger = Ledger()
        result = await chain(ledger, faults, max_restarts=1000).execute(harness=faults.harness())
        ledger.assert_accounted(result)
        traces.append(faults.injected)
    assert traces[0] == traces[1]
    assert traces[0]


def test_a_point_fails_for_every_node_on_its_own() -> None:
    faults = Faults().fail("start", visits=(2,), error=KeyError)
    faults.at("start", "a")
    faults.at("start", "b")
    faults.at("finish", "a")
    with pytest.raises(KeyError):
        faults.at("start", "a")
    with pytest.raises(KeyError):
        faults.at("start", "b")
    with pytest.raises(Injected):
        Faults().fail("x", "a").at("x", "a")


def test_slices_of_the_deterministic_harness_are_counted() -> None:
    meter = deterministic(operations=5).meter()
    assert [meter.restart(), meter.grant(2), meter.grant(3)] == [5, 3, 0]


@needs_drawn_orders
def test_drawn_schedules_change_the_order_of_tasks() -> None:
    orders: set[tuple[int, ...]] = set()

    @settings(max_examples=30, database=None)
    @given(schedule=schedules())
    def draw(schedule: object) -> None:
        order: list[int] = []

        async def note(number: int) -> None:
            order.append(number)

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                for number in range(4):
                    nursery.start_soon(note, number)

        run_on_mock_clock(main)
        orders.add(tuple(order))

    draw()
    assert len(orders) > 5
