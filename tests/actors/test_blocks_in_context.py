"""Messages that go from hand to hand in bulk carry the context of what they were made from."""

from trio.testing import wait_all_tasks_blocked

import trouper
from harness.faults import deterministic
from trouper.channels._context import message_context


async def test_a_block_is_handled_in_the_context_of_its_messages() -> None:
    """X1, X14: another block, another context; and nothing is left of the last one."""
    wf, seen = trouper.Workflow(), list[tuple[list[str], str | None]]()

    @wf.actor
    async def splits(ctx: trouper.ActorContext) -> None:
        async for text in ctx:
            await ctx.send_many([*text])

    @wf.actor(depends_on="splits")
    async def takes(ctx: trouper.ActorContext) -> None:
        while True:
            batch = await ctx.receive_many(8)
            seen.append((batch, message_context.get().correlation_id))

    async with wf.open(harness=deterministic(operations=1000)) as run:
        for text, word in (("ab", "first"), ("cd", "second"), ("ef", None)):
            await run.send(text, correlation_id=word)
            await wait_all_tasks_blocked()
    assert seen == [(["a", "b"], "first"), (["c", "d"], "second"), (["e", "f"], None)]
