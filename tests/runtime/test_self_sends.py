"""An actor that sends itself messages, while its run drains."""

from typing import Any

import pytest
from trio.testing import wait_all_tasks_blocked

import trouper
from trouper import Edge


async def test_what_a_handler_sends_itself_while_the_run_drains_is_handled_or_refused() -> None:
    """A3: by its own edge it is admitted, from outside it is refused; nothing is lost."""
    wf = trouper.Workflow()
    seen: list[int] = []
    refused: list[Any] = []
    runs: list[trouper.LiveRun] = []

    @wf.actor(depends_on={"again": Edge(feedback=True)})
    async def again(ctx: trouper.ActorContext[Any, Any, int, int]) -> None:
        async for n in ctx:
            if not seen:
                await ctx.stopping.wait()
            seen.append(n)
            if n < 3:
                await ctx.send(n + 1)
            else:
                with pytest.raises(trouper.NodeEnded) as caught:
                    await runs[0].send(n + 1, to="again")
                refused.append(caught.value.payload)

    async with wf.open() as run:
        runs.append(run)
        await run.send(1, to="again")
        await wait_all_tasks_blocked()
        result = await run.drain()
    assert (seen, refused) == ([1, 2, 3], [4])
    assert result.ok
    assert result.dead_letters == ()
    assert all(edge.is_closed for edge in result.edges)
