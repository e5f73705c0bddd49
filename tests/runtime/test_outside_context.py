"""What can be said of a message that enters from outside."""

import pytest
import trio
from trio.testing import MockClock

import trouper
from trouper import ActorContext, Workflow

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def echo_of_contexts(seen: list[trouper.MessageContext]) -> Workflow:
    wf = Workflow("contexts")

    @wf.actor
    async def first(ctx: ActorContext[None, None, int, int]) -> None:
        async for message in ctx:
            await ctx.send(message)

    @wf.actor(depends_on=[first])
    async def second(ctx: ActorContext[None, None, int, int]) -> None:
        async for _ in ctx:
            assert ctx.message is not None
            seen.append(ctx.message.context)
            assert ctx.custom_context == dict(seen[-1].custom_context)

    return wf


async def test_what_is_said_of_a_message_travels_with_what_is_made_from_it() -> None:
    """X1: the envelope's context is visible downstream, and the next message has its own."""
    seen: list[trouper.MessageContext] = []
    async with echo_of_contexts(seen).open() as run:
        await run.send(1, "first", correlation_id="c-1", traceparent=TRACE)
        await run.send(2, "first", custom_context={"team": "ml"})
        await run.send(3, "first")
    assert [(c.correlation_id, c.traceparent) for c in seen] == [
        ("c-1", TRACE),
        (None, None),
        (None, None),
    ]
    assert [dict(c.custom_context) for c in seen] == [{}, {"team": "ml"}, {}]


async def test_a_message_that_is_too_late_is_dead_lettered(autojump_clock: MockClock) -> None:
    """X2: an expired message goes to the dead letters as `expired` and is not handled."""
    wf = Workflow("late")
    handled: list[int] = []

    @wf.actor
    async def slow(ctx: ActorContext[None, None, int]) -> None:
        async for message in ctx:
            handled.append(message)
            await trio.sleep(10)

    async with wf.open() as run:
        await run.send(1)
        await run.send(2, timeout=5)
        await run.send(3, timeout=60)
        result = await run.drain(100)
    assert handled == [1, 3]
    assert [(d.envelope.payload, d.reason) for d in result.dead_letters] == [(2, "expired")]


async def test_bad_options_are_refused_and_the_message_is_not_accepted() -> None:
    """F40: an error of a custom context names the key and the value."""
    seen: list[trouper.MessageContext] = []
    async with echo_of_contexts(seen).open() as run:
        with pytest.raises(ValueError, match=r"timeout must be > 0 s, got 0"):
            await run.send(1, "first", timeout=0)
        with pytest.raises(ValueError, match=r"'junk' is no W3C header"):
            await run.send(1, "first", traceparent="junk")
        with pytest.raises(ValueError, match="is no W3C header"):
            await run.send(1, "first", traceparent=TRACE.upper())
        with pytest.raises(TypeError, match=r"str to str, got 'n': 3"):
            # The refusal is what is tested.
            await run.send(1, "first", custom_context={"n": 3})  # type: ignore[dict-item]
        with pytest.raises(TypeError, match="takes a mapping from str to str, got 1"):
            await run.send(1, "first", custom_context=1)  # type: ignore[arg-type]  # likewise
        with pytest.raises(TypeError, match="correlation_id takes a str, got 7; str"):
            await run.send(1, "first", correlation_id=7)  # type: ignore[arg-type]  # likewise
        with pytest.raises(ValueError, match="traceparent 7 is no W3C header"):
            await run.send(1, "first", traceparent=7)  # type: ignore[arg-type]  # likewise
        with pytest.raises(ValueError, match=r"custom_context\['k'\] can't be .* is half a char"):
            await run.send(1, "first", custom_context={"k": "a\ud800"})
        with pytest.raises(ValueError, match=r"^correlation_id can't be .* is half a character"):
            await run.send(1, "first", correlation_id="a\ud800")
    assert seen == []
