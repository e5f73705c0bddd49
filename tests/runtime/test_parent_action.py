"""`parent_action` of a message: from where its run was started."""

import trouper


def _relay(seen: list[str | None]) -> trouper.Workflow:
    wf = trouper.Workflow("inner")

    @wf.actor
    async def source(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        await ctx.send(1)

    @wf.actor(depends_on=["source"])
    async def sink(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for _ in ctx:
            assert ctx.message is not None
            seen.append(ctx.message.context.parent_action)

    return wf


async def test_of_a_run_from_outside_there_is_none() -> None:
    seen: list[str | None] = []
    (await _relay(seen).execute()).unwrap()
    assert seen == [None]


async def test_of_a_run_that_a_task_starts_it_is_that_task() -> None:
    """Every message of the inner run tells it, with one context object for all of them."""
    seen: list[str | None] = []
    outer = trouper.Workflow("outer")

    @outer.task
    async def launch() -> None:
        (await _relay(seen).execute()).unwrap()

    (await outer.execute()).unwrap()
    assert seen == ["launch"]
