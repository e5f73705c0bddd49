"""The ledger of an actor with several messages in hand, against a model, whatever its bodies do."""

from collections import Counter
from typing import Any, Literal

import trio
from hypothesis import given
from hypothesis import strategies as st

import trouper
from harness.bodies import counts
from harness.faults import deterministic
from harness.schedules import run_on_mock_clock, schedules

Act = Literal["ok", "crash", "reject", "release", "hang"]
MAX_ATTEMPTS = 3

plans = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["ok", "ok", "crash", "reject", "release", "hang"]),
            st.integers(0, 3),
        ),
        max_size=5,
    ),
    min_size=1,
    max_size=8,
)
"""For each message, what its deliveries do, one after the other, and how many seconds each takes;
after that it is handled."""


def expected_ends(plan: list[tuple[Act, int]]) -> tuple[str, int]:
    """Return how a message must end, and how often it is handed out at least."""
    failed = given = 0
    for act, _ in plan:
        given += 1
        if act == "ok":
            return "acknowledged", given
        failed += act in ("crash", "reject", "hang")
        if failed == MAX_ATTEMPTS:
            return "dead", given
    return "acknowledged", given + 1


class Book:
    """What the handlers did."""

    def __init__(self, script: list[list[tuple[Act, int]]]) -> None:
        self.script = script
        self.given: Counter[int] = Counter()
        self.done: Counter[int] = Counter()
        self.attempts: dict[int, list[int]] = {}
        self.now = self.most = 0

    async def handle(self, ctx: Any, number: int) -> None:
        plan, turn = self.script[number], self.given[number]
        self.given[number] += 1
        self.attempts.setdefault(number, []).append(ctx.message.attempt)
        act, seconds = plan[turn] if turn < len(plan) else ("ok", 0)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await trio.sleep(seconds)
            if act == "hang":
                await trio.sleep_forever()
            if act == "crash":
                raise ValueError(f"{number} crashes")
            if act == "reject":
                ctx.reject("not this one")
            elif act == "release":
                ctx.release()
            else:
                self.done[number] += 1
        finally:
            self.now -= 1

    def check(self, result: trouper.WorkflowResult, concurrency: int) -> None:
        """Compare with the model."""
        assert result.status == "completed", result.reason
        assert self.most <= concurrency
        dead = Counter(letter.envelope.payload for letter in result.dead_letters)
        for number, plan in enumerate(self.script):
            end, given = expected_ends(plan)
            assert (self.done[number], dead[number]) == ((1, 0) if end != "dead" else (0, 1))
            assert self.given[number] == given
            attempts = self.attempts[number]
            assert attempts == sorted(attempts)
            assert attempts[-1] <= MAX_ATTEMPTS
        [edge] = result.edges
        assert edge.is_closed
        assert edge.sent == edge.acknowledged + edge.dead_lettered == len(self.script)


def graph(script: list[list[tuple[Act, int]]]) -> trouper.Workflow:
    workflow = trouper.Workflow()
    workflow.actor(name="numbers")(counts(len(script)))
    return workflow


OPTIONS: Any = {
    "depends_on": "numbers",
    "max_attempts": MAX_ATTEMPTS,
    "max_restarts": 1000,
    "backoff": trouper.Backoff(min=0, max=0),
    "timeout": 10,
    "shutdown": 100,
}


@given(script=plans, concurrency=st.integers(1, 4), batch=st.integers(0, 1), schedule=schedules())
def test_bodies_side_by_side(
    script: list[list[tuple[Act, int]]], concurrency: int, batch: int, schedule: Any
) -> None:
    """P13, P22, X22: every message ends once, and an attempt is counted only where it failed."""

    async def main() -> None:
        book = Book(script)
        workflow = graph(script)

        @workflow.actor(concurrency=concurrency, **OPTIONS)
        async def bodies(ctx: trouper.ActorContext[Any, Any, int, Any]) -> None:
            while True:
                number = (await ctx.receive_many(1))[0] if batch else await ctx.receive()
                await book.handle(ctx, number)

        result = await workflow.execute(harness=deterministic())
        book.check(result, concurrency)

    run_on_mock_clock(main)


@given(script=plans, tasks=st.integers(1, 4), schedule=schedules())
def test_blocks_side_by_side(
    script: list[list[tuple[Act, int]]], tasks: int, schedule: Any
) -> None:
    async def main() -> None:
        book = Book(script)
        workflow = graph(script)

        @workflow.actor(**OPTIONS)
        async def pool(ctx: trouper.ActorContext[Any, Any, int, Any]) -> None:
            async def work() -> None:
                while True:
                    try:
                        async with ctx.leased() as number:
                            await book.handle(ctx, number)
                    except (ValueError, trouper.HandlerTimeout):
                        pass

            async with trio.open_nursery() as nursery:
                for _ in range(tasks):
                    nursery.start_soon(work)

        result = await workflow.execute(harness=deterministic())
        book.check(result, tasks)

    run_on_mock_clock(main)


@given(script=plans, tasks=st.integers(1, 4), schedule=schedules())
def test_blocks_whose_failures_are_crashes(
    script: list[list[tuple[Act, int]]], tasks: int, schedule: Any
) -> None:
    """X12: a crash cancels the other tasks of the actor, which is no failed attempt of theirs."""

    async def main() -> None:
        book = Book(script)
        workflow = graph(script)

        @workflow.actor(**OPTIONS)
        async def pool(ctx: trouper.ActorContext[Any, Any, int, Any]) -> None:
            async def work() -> None:
                while True:
                    async with ctx.leased() as number:
                        await book.handle(ctx, number)

            async with trio.open_nursery() as nursery:
                for _ in range(tasks):
                    nursery.start_soon(work)

        result = await workflow.execute(harness=deterministic())
        assert result.status == "completed", result.reason
        dead = Counter(letter.envelope.payload for letter in result.dead_letters)
        assert all(book.done[n] + dead[n] == 1 for n in range(len(script)))
        assert result.edges[0].is_closed

    run_on_mock_clock(main)
