"""The report of a drain: what was under way when it began, and what became of it, per actor."""

import json
from collections.abc import AsyncIterator

import msgspec
import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.bodies import collects, counts
from harness.ids import assert_edges_closed
from trouper.runtime._cli_json import json_report
from trouper.runtime._cli_report import closing_report


async def test_a_run_that_ends_by_itself_has_no_drain() -> None:
    wf = trouper.Workflow()
    wf.actor(name="source")(counts(2))
    assert (await wf.execute()).drain is None


async def test_what_was_under_way_is_acknowledged(autojump_clock: MockClock) -> None:
    """B6t: queued, and in hand, when the drain begins."""
    got: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="sink")(collects(got, seconds=1))
    async with wf.open() as run:
        for number in range(5):
            await run.send(number, to="sink")
        await trio.sleep(1.5)
        assert got == [0, 1]
        result = await run.drain(60)
    drain = result.drain
    assert drain is not None
    assert drain.actors == {"sink": trouper.ActorDrain(acknowledged=4)}
    assert (drain.acknowledged, drain.redelivered, drain.dead_lettered, drain.abandoned) == (
        4,
        0,
        0,
        0,
    )
    assert (drain.budget, drain.cut_short) == (60, ())
    assert drain.began_at == pytest.approx(1.5)
    assert drain.seconds == pytest.approx(3.5)


async def test_a_poison_message_is_redelivered_and_dead_lettered(
    autojump_clock: MockClock,
) -> None:
    wf = trouper.Workflow()

    @wf.actor(max_attempts=2)
    async def sink(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            await trio.sleep(1)
            if message == 1:
                raise OSError("poison")

    async with wf.open() as run:
        for number in range(3):
            await run.send(number)
        await trio.sleep(0.5)
        result = await run.drain(60)
    assert result.drain is not None
    [done] = result.drain.actors.values()
    assert done == trouper.ActorDrain(acknowledged=2, redelivered=1, dead_lettered=1)


async def test_what_nobody_handled_is_abandoned(autojump_clock: MockClock) -> None:
    """K2: in hand when its time was up, or never handled at all; each is in the dead letters."""
    wf = trouper.Workflow()

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        for number in range(4):
            yield number
        await trio.sleep_forever()

    wf.actor(name="stuck", depends_on="source")(collects([], seconds=1000))
    async with wf.open() as run:
        await trio.sleep(1)
        result = await run.drain(10)
    drain = result.drain
    assert drain is not None
    assert drain.actors == {"stuck": trouper.ActorDrain(abandoned=4)}
    assert drain.cut_short == result.cut_short == ("source", "stuck")
    assert drain.abandoned == len(result.dead_letters) == 4
    assert_edges_closed(result)


async def test_what_was_done_before_is_not_counted(autojump_clock: MockClock) -> None:
    """And a second drain, while the first goes on, changes nothing of its report."""
    got: list[int] = []
    wf = trouper.Workflow()
    wf.actor(name="sink")(collects(got, seconds=1))
    async with wf.open() as run:
        for number in range(10):
            await run.send(number)
        await trio.sleep(4.5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.drain, 60)
            await trio.sleep(2)
            nursery.start_soon(run.drain, 30)
    result = await run.wait()
    assert result.drain is not None
    assert result.drain.acknowledged == 6
    assert result.drain.budget == 60


def drained(**actors: trouper.ActorDrain) -> trouper.DrainReport:
    return trouper.DrainReport(
        began_at=1, seconds=0.25, budget=10, actors=actors, cut_short=("stuck",)
    )


async def shown(drain: trouper.DrainReport | None) -> tuple[str, object]:
    wf = trouper.Workflow("w")
    wf.actor(name="source")(counts(1))
    result = msgspec.structs.replace(await wf.execute(), drain=drain)
    return "\n".join(closing_report(result)), json.loads(json_report(result, 0))["drain"]


async def test_the_command_line_tells_of_a_drain() -> None:
    """In its closing report, and in JSON with the totals."""
    text, data = await shown(
        drained(
            sink=trouper.ActorDrain(acknowledged=1234, redelivered=1),
            stuck=trouper.ActorDrain(abandoned=2, dead_lettered=3),
        )
    )
    assert (
        "drained in 0.2 s of 10 s: 1,234 acknowledged, 1 redelivered, 3 dead-lettered, 2 abandoned"
        in text
    )
    assert "\n  sink: 1,234 acknowledged, 1 redelivered\n" in text
    assert "\n  stuck: 3 dead-lettered, 2 abandoned" in text
    assert isinstance(data, dict)
    assert (data["acknowledged"], data["abandoned"]) == (1234, 2)
    assert data["actors"]["stuck"]["dead_lettered"] == 3


async def test_the_command_line_tells_of_a_drain_that_had_nothing_to_do() -> None:
    text, data = await shown(drained())
    assert "drained in 0.2 s of 10 s: no message was under way" in text
    assert isinstance(data, dict)
    assert data["actors"] == {}


async def test_of_no_drain_nothing_is_told() -> None:
    text, data = await shown(None)
    assert "drained" not in text
    assert data is None
