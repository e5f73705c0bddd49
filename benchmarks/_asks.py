"""A question and its reply, beside a pair of trio channels that carry the same."""

import math
import statistics
from functools import partial
from time import process_time

import trio
import trio.testing

import trouper

from ._measure import Contest, Scale

QUESTIONS = 2_000


async def _echo(ctx: trouper.ActorContext[None, None, int, None]) -> None:
    async for number in ctx:
        await ctx.reply(number)


def _trouper(wanted: int) -> float:
    """Return us from a question to its reply (median)."""
    workflow = trouper.Workflow("asks")
    workflow.actor(name="echo")(_echo)
    took: list[float] = []

    async def main() -> None:
        async with workflow.open() as run:
            for number in range(wanted):
                asked_at = process_time()
                reply = await run.ask(number, to="echo")
                took.append(process_time() - asked_at)
                if reply != number:
                    raise RuntimeError(f"the reply to {number} was {reply}")

    trio.run(main)
    return statistics.median(took) * 1e6


def _trio(wanted: int, capacity: float) -> float:
    """The same with a channel there and a channel back, without time limit, failure or cycle."""
    took: list[float] = []

    async def main() -> None:
        ask, asked = trio.open_memory_channel[int](capacity)
        answer, answered = trio.open_memory_channel[int](capacity)

        async def echo() -> None:
            async with answer:
                async for number in asked:
                    await answer.send(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo)
            async with ask:
                for number in range(wanted):
                    asked_at = process_time()
                    await ask.send(number)
                    await answered.receive()
                    took.append(process_time() - asked_at)

    trio.run(main)
    return statistics.median(took) * 1e6


def _trio_own(wanted: int) -> float:
    """The same with what several askers need: a channel back and a time limit for each question."""
    took: list[float] = []

    async def main() -> None:
        ask, asked = trio.open_memory_channel[tuple[int, trio.MemorySendChannel[int]]](0)

        async def echo() -> None:
            async for number, answer in asked:
                async with answer:
                    await answer.send(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo)
            async with ask:
                for number in range(wanted):
                    asked_at = process_time()
                    answer, answered = trio.open_memory_channel[int](1)
                    with trio.fail_after(30):
                        await ask.send((number, answer))
                        await answered.receive()
                    took.append(process_time() - asked_at)

    trio.run(main)
    return statistics.median(took) * 1e6


def _switches(wanted: int) -> float:
    """Return us of two task switches: what any question costs in trio before it carries a thing."""
    took: list[float] = []
    parked: list[trio.lowlevel.Task] = []

    def forget(_raise_cancel: object) -> trio.lowlevel.Abort:
        parked.clear()
        return trio.lowlevel.Abort.SUCCEEDED

    async def switch() -> None:
        parked.append(trio.lowlevel.current_task())
        await trio.lowlevel.wait_task_rescheduled(forget)

    async def answer() -> None:
        while True:
            await switch()
            trio.lowlevel.reschedule(parked.pop(0))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(wanted):
                asked_at = process_time()
                trio.lowlevel.reschedule(parked.pop())
                await switch()
                took.append(process_time() - asked_at)
            nursery.cancel_scope.cancel()

    trio.run(main)
    return statistics.median(took) * 1e6


def asks(scale: Scale) -> Contest:
    n = scale.n(QUESTIONS)
    return Contest(
        name="asks",
        title="from a question to its reply",
        unit="us",
        one_thread=True,
        variants={
            "trouper": partial(_trouper, n),
            "pair of trio channels": partial(_trio, n, 0),
            "pair of trio channels, unbounded": partial(_trio, n, math.inf),
            "trio, a channel back and a time limit each": partial(_trio_own, n),
            "trio, two switches of tasks alone": partial(_switches, n),
        },
        baseline="pair of trio channels",
    )
