"""One line per restart, and no flood."""

import logging

import pytest
import trio
from attrs import define
from trio.testing import MockClock

import trouper
from trouper.actors._restart_log import RestartLog


@define
class Child:
    name: str = "parse"
    incarnation: int = 2
    attempt: int = 0
    gave_up: bool = False


def test_tells_node_incarnation_error_and_place(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("bad line")
    except ValueError as error:
        RestartLog().say(Child(attempt=3), error, 0.25, 10.0)
    [record] = caplog.records
    assert (record.name, record.levelno) == ("trouper", logging.WARNING)
    text = record.getMessage()
    assert text.startswith(
        "'parse' failed in incarnation 2, attempt 3 of the message in hand, "
        f"and restarts in 0.25 s: ValueError: bad line, at {__file__}:"
    )


def test_says_that_a_last_attempt_made_a_dead_letter(caplog: pytest.LogCaptureFixture) -> None:
    RestartLog().say(Child(attempt=3, gave_up=True), ValueError("bad"), 0.0, 10.0)
    assert caplog.messages == [
        "'parse' failed in incarnation 2, attempt 3 of the message in hand, the last: it is a dead "
        "letter now, and restarts: ValueError: bad"
    ]


def test_says_what_it_left_unsaid(caplog: pytest.LogCaptureFixture) -> None:
    log = RestartLog()
    for now in (0.0, 0.1, 0.9, 1.0, 1.1):
        log.say(Child(), KeyError("k"), 0.0, now)
    log.say(Child("other"), KeyError("k"), 0.0, 1.1)
    first, second, other = caplog.messages
    assert first == "'parse' failed in incarnation 2 and restarts: KeyError: 'k'"
    assert second.endswith("KeyError: 'k' (2 more restarts since the last line)")
    assert other.startswith("'other' failed")


async def test_a_run_logs_its_restarts(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    wf = trouper.Workflow("w")

    @wf.actor
    async def source(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        await ctx.send(1)

    @wf.actor(depends_on="source")
    async def fail_once(ctx: trouper.ActorContext[None, None, int]) -> None:
        async for _ in ctx:
            assert ctx.message is not None
            if ctx.message.attempt == 1:
                raise OSError("once")

    result = await wf.execute()
    assert result.ok
    [line] = caplog.messages
    assert "'fail_once' failed in incarnation 1, attempt 1 of the message in hand" in line
    assert "OSError: once, at " in line
    assert "dead letter" not in line


@pytest.mark.parametrize("max_attempts", [1, 2])
async def test_a_run_logs_which_attempt_was_the_last(
    max_attempts: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    wf = trouper.Workflow("w")

    @wf.actor
    async def source(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        await ctx.send(1)

    @wf.actor(
        depends_on="source",
        max_attempts=max_attempts,
        backoff=trouper.Backoff(min=2, max=2, reset_after=100),
    )
    async def fails(ctx: trouper.ActorContext[None, None, int]) -> None:
        async for _ in ctx:
            await trio.sleep(2)  # beyond the time in which no second line is written
            raise OSError("always")

    result = await wf.execute()
    assert len(result.dead_letters) == 1
    assert ["it is a dead letter now" in line for line in caplog.messages] == [
        *[False] * (max_attempts - 1),
        True,
    ]
