"""Ids of what a keyed actor sends in bulk, and an inlet opened while its actor waits."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trouper import ActorContext, RestartPolicy, Workflow


async def test_what_a_keyed_actor_sends_in_bulk_has_ids_of_its_own() -> None:
    """Two messages of one ancestor meet in a join: their outputs must not share an id."""
    wf = Workflow("diamond")
    seen: list[str] = []

    @wf.actor
    async def first(ctx: ActorContext[None, None, None, int]) -> None:
        await ctx.send(1)

    for name in ("left", "right"):

        @wf.actor(name=name, depends_on="first")
        async def branch(ctx: ActorContext[None, None, int, int]) -> None:
            async for message in ctx:
                await ctx.send(message)

    @wf.actor(depends_on=["left", "right"])
    async def both(ctx: ActorContext[None, None, dict[str, int], int]) -> None:
        async for _ in ctx:
            await ctx.send_many(range(3))

    @wf.actor(depends_on="both")
    async def sink(ctx: ActorContext[None, None, int]) -> None:
        async for _ in ctx:
            assert ctx.message is not None
            seen.append(ctx.message.id)

    assert (await wf.execute()).ok
    assert sorted(seen) == sorted(
        f"first:1/{side}>both.{n}" for side in ("left", "right") for n in (1, 2, 3)
    )


async def test_an_inlet_may_be_opened_while_its_actor_waits() -> None:
    wf = Workflow("inlet")
    seen: list[int] = []

    @wf.actor
    async def quiet(ctx: ActorContext[None, None, None, int]) -> None:
        await ctx.stopping.wait()

    @wf.actor(depends_on="quiet")
    async def reader(ctx: ActorContext[None, None, int]) -> None:
        async for message in ctx:
            seen.append(message)  # noqa: PERF401 - as a user writes it

    async with wf.open() as run:
        await wait_all_tasks_blocked()
        await run.send(7, "reader")
        await wait_all_tasks_blocked()
        assert seen == [7]
    assert run.status().nodes["reader"].received == 1


async def test_failures_over_one_message_after_the_other_escalate(
    autojump_clock: MockClock,
) -> None:
    """S2: each message fails anew at once, so the failures stay within the period."""
    wf = Workflow("always")

    @wf.actor
    async def numbers(ctx: ActorContext[None, None, None, int]) -> None:
        for n in range(1000):
            await ctx.send(n)

    @wf.actor(depends_on="numbers")
    async def broken(ctx: ActorContext[None, None, int]) -> None:
        async for _ in ctx:
            raise OSError("always")

    with trio.fail_after(60):
        result = await wf.execute()
    assert result.status == "failed"
    assert isinstance(result.error, OSError)
    # Each used up its attempts, but for one that was in hand at the end, and those queued.
    reasons = [letter.reason for letter in result.dead_letters]
    left = ["stopped"] * (1 + result.edges[0].dropped["reader_ended"])
    assert reasons == ["max_attempts"] * RestartPolicy().max_restarts + left
    assert result.seconds < RestartPolicy().period
