"""`restart_on=` in a run: what becomes of the message in hand, and of the node."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.members import Told

AT_ONCE = trouper.Backoff(min=0, max=0)


async def feed(ctx: trouper.ActorContext) -> None:
    for number in range(6):
        await ctx.send(number)


class Picky:
    """Fails over some messages; counts in its own state what it has seen."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.hooks: list[str] = []
        self.errors: dict[int, Exception] = {}

    async def start(self, ctx: trouper.ActorContext) -> None:
        self.hooks.append("start")

    async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
        self.hooks.append(f"stop: {reason}")

    async def run(self, ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            self.seen.append(message)
            if message in self.errors:
                raise self.errors[message]
            await ctx.send(message)


async def run_picky(
    errors: dict[int, Exception], rule: Any, **options: Any
) -> tuple[Picky, trouper.WorkflowResult]:
    picky = Picky()
    picky.errors = errors
    wf = trouper.Workflow()
    wf.actor(name="feed")(feed)
    given: Any = {"backoff": AT_ONCE, "restart_on": rule, **options}
    wf.add(picky, name="picky", depends_on="feed", **given)
    return picky, await wf.execute()


def letters(result: trouper.WorkflowResult) -> list[tuple[Any, str]]:
    return [(letter.envelope.payload, letter.reason) for letter in result.dead_letters]


async def test_resume_gives_up_the_message_and_goes_on_as_it_was() -> None:
    """P4: the same object, no hooks, no restart, nothing counted."""
    errors: dict[int, Exception] = {1: ValueError("one"), 3: ValueError("three")}
    picky, result = await run_picky(errors, {ValueError: "resume"}, max_restarts=0)
    assert result.ok
    assert picky.seen == [0, 1, 2, 3, 4, 5]
    assert picky.hooks == ["start", "stop: normal"]
    assert letters(result) == [(1, "resumed"), (3, "resumed")]
    assert [str(failure) for failure in result.dead_letters[0].failures] == ["ValueError: one"]
    node = result.nodes["picky"]
    assert (node.incarnation, node.failed, node.dead_lettered) == (1, 0, 2)
    assert [str(failure) for failure in node.failures] == ["ValueError: one", "ValueError: three"]
    assert all(edge.is_closed for edge in result.edges)


async def test_a_generator_is_resumed_too(caplog: pytest.LogCaptureFixture) -> None:
    wf = trouper.Workflow()
    wf.actor(name="feed")(feed)

    @wf.actor(depends_on=["feed"], restart_on=lambda error: "resume")
    async def halves(ctx: trouper.ActorContext) -> Any:
        async for message in ctx:
            if message % 2:
                raise ValueError(message)
            yield message

    @wf.task(depends_on=halves, collect="all")
    async def got(values: list[int]) -> list[int]:
        return values

    result = await wf.execute()
    assert result.unwrap()["got"] == [0, 2, 4]
    assert letters(result) == [(1, "resumed"), (3, "resumed"), (5, "resumed")]
    assert "'halves' failed in incarnation 1" in caplog.text
    assert "goes on with the next message: ValueError: 1" in caplog.text


async def test_of_a_batch_nobody_knows_the_culprit() -> None:
    """X22: its messages come again one by one, and only the one at fault is given up."""
    wf = trouper.Workflow()
    wf.actor(name="feed")(feed)
    seen: list[list[int]] = []

    @wf.actor(depends_on=["feed"], restart_on={ValueError: "resume"})
    async def batches(ctx: trouper.ActorContext) -> None:
        while True:
            batch = await ctx.receive_many(6)
            seen.append(batch)
            if 2 in batch:
                raise ValueError

    result = await wf.execute()
    assert result.ok
    assert letters(result) == [(2, "resumed")]
    handled = [number for batch in seen if 2 not in batch for number in batch]
    assert sorted(handled) == [0, 1, 3, 4, 5]


async def test_without_a_message_in_hand_resume_is_a_restart() -> None:
    """What goes on without having taken anything would never end."""
    wf = trouper.Workflow()

    @wf.actor(restart_on={Told: "resume"}, max_restarts=2, backoff=AT_ONCE)
    async def idle(ctx: trouper.ActorContext) -> None:
        raise Told

    result = await wf.execute()
    assert result.status == "failed"
    assert result.nodes["idle"].incarnation == 3


async def test_stop_gives_up_the_message_and_ends_the_node_normally() -> None:
    """P4: its readers hear a normal end, and what was still queued is counted."""
    picky, result = await run_picky({2: KeyError("k")}, {KeyError: "stop"})
    assert result.ok
    assert picky.seen == [0, 1, 2]
    assert picky.hooks == ["start", "stop: failed"]
    assert letters(result)[0] == (2, "stopped")
    node = result.nodes["picky"]
    assert (node.state, node.incarnation, node.failed) == ("done", 1, 1)
    assert all(edge.is_closed for edge in result.edges)


async def test_stop_in_a_start_hook_ends_it_before_it_began() -> None:
    wf = trouper.Workflow()

    class Declines:
        async def start(self, ctx: trouper.ActorContext) -> None:
            raise Told

        async def run(self, ctx: trouper.ActorContext) -> None:
            raise AssertionError

    wf.add(Declines(), name="declines", restart_on={Told: "stop"})
    result = await wf.execute()
    assert result.ok
    assert result.nodes["declines"].state == "done"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (OSError, "its restart_on does not name ValueError: given up at once"),
        ({ValueError: "escalate"}, "restart_on says: escalate"),
        (lambda error: False, "says no: given up at once"),
        (lambda error: 1 / 0, "raised ZeroDivisionError('division by zero')"),
        (lambda error: "again", "returned 'again'; it takes True, False or one of: restart"),
    ],
)
async def test_what_is_given_up_fails_at_once(rule: Any, why: str) -> None:
    """P4, A1: with the failure itself, and the reason in words."""
    error = ValueError("one")
    picky, result = await run_picky({1: error}, rule)
    assert result.status == "failed"
    assert result.error is error
    assert why in result.reason
    assert picky.seen == [0, 1]


async def test_what_is_restarted_is_delivered_again() -> None:
    picky, result = await run_picky({1: OSError()}, OSError)
    assert result.ok
    assert picky.seen == [0, 1, 1, 1, 2, 3, 4, 5]
    assert letters(result) == [(1, "max_attempts")]


async def test_a_group_hears_of_stop_and_escalate() -> None:
    """S14: a significant member that stops by its rule has ended by itself."""
    for answer, status in (("stop", "completed"), ("escalate", "failed")):
        wf = trouper.Workflow()
        group = wf.group("g", auto_shutdown="any_significant", strategy="one_for_all")
        rule: Any = {Told: answer}

        @group.actor(restart_on=rule, significant=True)
        async def leader(ctx: trouper.ActorContext) -> None:
            raise Told

        @group.actor
        async def other(ctx: trouper.ActorContext) -> None:
            await trio.sleep_forever()

        result = await wf.execute()
        assert result.status == status
        assert result.groups["g"].state == ("done" if answer == "stop" else "failed")


async def test_a_child_stops_by_its_rule() -> None:
    wf = trouper.Workflow()

    async def told(ctx: trouper.ActorContext) -> None:
        raise Told

    @wf.actor
    async def parent(ctx: trouper.ActorContext) -> None:
        child = await ctx.spawn(told, restart_on={Told: "stop"})
        await child.wait()
        ctx.set_result("state", child.state)

    result = await wf.execute()
    assert result.results == {"state": "done"}


async def test_a_task_is_restarted_or_given_up() -> None:
    """P4: an answer that means nothing for a task is refused, or told."""
    wf = trouper.Workflow()
    tries: list[int] = []

    @wf.task(restart="transient", restart_on=OSError, backoff=AT_ONCE)
    async def load() -> int:
        tries.append(1)
        raise OSError if len(tries) < 3 else ValueError("now")

    result = await wf.execute()
    assert len(tries) == 3
    assert "does not name ValueError" in result.reason
    with pytest.raises(ValueError, match="a task has no next message"):
        wf.task(name="other", restart="transient", restart_on={OSError: "resume"})(lambda: 1)


@pytest.mark.parametrize("said", ["resume", "stop"])
async def test_a_task_whose_rule_answers_nonsense_is_given_up(said: str) -> None:
    wf = trouper.Workflow()

    @wf.task(restart="transient", restart_on=lambda error: said)
    async def load() -> int:
        raise OSError

    result = await wf.execute()
    assert result.status == "failed"
    assert f"restart_on answered {said!r}, which means nothing for a task" in result.reason


async def test_a_kill_loop_ends(autojump_clock: MockClock) -> None:
    """X16: what a timeout cuts off counts for the intensity, and slow but healthy work is left."""
    wf = trouper.Workflow()
    wf.actor(name="feed")(feed)
    handled: list[int] = []

    @wf.actor(
        depends_on=["feed"], timeout=2, max_restarts=2, max_attempts=1, period=60, backoff=AT_ONCE
    )
    async def worker(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            await trio.sleep(1.9 if message < 2 else 5)
            handled.append(message)

    result = await wf.execute()
    assert handled == [0, 1]
    assert result.status == "failed"
    assert isinstance(result.error, trouper.HandlerTimeout)
    assert result.nodes["worker"].failed == 3
