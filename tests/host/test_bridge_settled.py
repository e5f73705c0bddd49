"""A source in asyncio hears what became of what it has yielded."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import trouper
from harness.hosts import HOSTS, Host, run_in

pytestmark = pytest.mark.parametrize("host", HOSTS)


def test_it_hears_of_each_message_in_its_own_loop(host: Host) -> None:
    told: list[tuple[int, str]] = []
    workflow = trouper.Workflow("settling")

    async def source(ctx: Any) -> AsyncIterator[int]:
        loop = asyncio.get_running_loop()

        def note(settled: trouper.Settled) -> None:
            assert asyncio.get_running_loop() is loop
            told.append((settled.payload, settled.outcome))

        ctx.on_settled(note)
        for number in range(5):
            yield number

    workflow.add(trouper.asyncio_bridge(source))

    @workflow.actor(depends_on=["source"], max_attempts=1)
    async def work(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for number in ctx:
            if number == 3:
                ctx.reject("three")

    result = run_in(host, workflow)
    assert result.status == "completed"
    outcomes = ["acknowledged"] * 3 + ["dead_lettered", "acknowledged"]
    assert told == list(enumerate(outcomes))


def test_what_can_not_hear_is_refused(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    workflow = trouper.Workflow("refusing")

    async def later(settled: trouper.Settled) -> None: ...

    async def source(ctx: Any) -> AsyncIterator[str]:
        try:
            ctx.on_settled(later)
        except TypeError as error:
            yield str(error)

    async def silent(ctx: Any) -> AsyncIterator[int]:
        ctx.on_settled(print)
        ctx.on_settled(None)
        yield 1

    async def task(ctx: Any) -> str:
        try:
            ctx.on_settled(print)
        except RuntimeError as error:
            return str(error)
        return ""

    workflow.add(trouper.asyncio_bridge(source))
    workflow.add(trouper.asyncio_bridge(silent))
    workflow.task(name="task")(trouper.asyncio_bridge(task))
    outputs = run_in(host, workflow).outputs
    assert capsys.readouterr().out == ""
    assert "takes a plain function, got the async" in outputs["source"]
    assert outputs["task"] == "ctx.on_settled() is for actors; a task gives one value, at its end"
