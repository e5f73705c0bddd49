"""The `Monitor` that actors are explained with, in a workflow that runs: prints 1, 4, 9.

    python examples/workflow/monitor.py

It sends each message and yields the same object: the yield is recognised as a repetition and not
sent a second time.
"""

# `Monitor` is written as on the page that explains it: without a return type.
# mypy: disable-error-code="no-untyped-def"

import trouper
from trouper import Actor, ActorContext, TaskContext

wf = trouper.Workflow("monitor-example")


def transform(message: int) -> int:
    return message * message


@wf.actor
async def numbers(ctx: ActorContext[None, None, None, int]) -> None:
    for number in (1, 2, 3):
        await ctx.send(number)


class Monitor(Actor):
    async def run(self, ctx: ActorContext):
        while True:
            message = await ctx.receive()
            processed = transform(message)
            await ctx.send(processed)
            yield processed


wf.add(Monitor, depends_on=[numbers])


@wf.task(depends_on=[Monitor], collect="all")
async def show(ctx: TaskContext[None, None, list[int]]) -> list[int]:
    for number in ctx.inputs:
        print(number)
    return ctx.inputs


if __name__ == "__main__":
    trouper.run(wf).unwrap()
