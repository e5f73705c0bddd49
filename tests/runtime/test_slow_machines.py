"""However slow the machine: where a slice is spent before anything was done, all goes on."""

import trio
import trio.testing

import trouper


class Spent:
    """Measures the slices of a machine on which each is over at the first look."""

    def restart(self) -> int:
        return 1

    def grant(self, used: int) -> int:
        return 0

    def sibling(self) -> "Spent":
        return self


HARNESS = trouper.Harness(meter=Spent)


async def test_one_by_one_and_in_batches_all_messages_pass() -> None:
    wf = trouper.Workflow()

    @wf.actor(capacity=3)
    async def source(ctx: trouper.ActorContext) -> None:
        for n in range(10):
            await ctx.send(n)
        await ctx.send_many(range(10, 20))

    @wf.actor(depends_on=source, capacity=3)
    async def relay(ctx: trouper.ActorContext) -> None:
        while True:
            await ctx.send_many(await ctx.receive_many(4))

    @wf.actor(depends_on=source, capacity=0)
    async def other(ctx: trouper.ActorContext) -> None:
        async for n in ctx:
            await ctx.send(n)

    @wf.task(depends_on=[relay, other], collect="all")
    async def both(ctx: trouper.TaskContext) -> dict[str, list[int]]:
        return dict(ctx.inputs)

    with trio.fail_after(60):
        outputs = (await wf.execute(harness=HARNESS)).unwrap()
    assert outputs["both"] == {"relay": [*range(20)], "other": [*range(20)]}


async def test_a_batch_to_a_reader_that_waits_passes_at_once() -> None:
    wf, got = trouper.Workflow(), list[int]()

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> None:
        await trio.testing.wait_all_tasks_blocked()
        await ctx.send_many([1, 2, 3])
        await ctx.send_many([4])

    @wf.actor(depends_on=source)
    async def reader(ctx: trouper.ActorContext) -> None:
        while True:
            got.extend(await ctx.receive_many())

    with trio.fail_after(60):
        assert (await wf.execute(harness=HARNESS)).ok
    assert got == [1, 2, 3, 4]
