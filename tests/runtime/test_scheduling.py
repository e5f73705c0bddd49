"""Batch tasks: each starts as soon as its inputs stand, and a run ends honestly."""

import traceback
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.bodies import fails, sleeps


def noting(into: dict[str, float], name: str, seconds: float) -> Any:
    async def note(ctx: trouper.TaskContext) -> str:
        into[name] = trio.current_time()
        await trio.sleep(seconds)
        return name

    return note


async def test_a_node_starts_as_soon_as_its_inputs_stand(autojump_clock: MockClock) -> None:
    """F3: a fast branch does not wait for the slowest sibling of each level."""
    started: dict[str, float] = {}
    wf = trouper.Workflow("levels")
    wf.task(name="slow")(noting(started, "slow", 10))
    wf.task(name="fast")(noting(started, "fast", 1))
    wf.task(name="fast2", depends_on="fast")(noting(started, "fast2", 1))
    wf.task(name="fast3", depends_on="fast2")(noting(started, "fast3", 1))
    wf.task(name="join", depends_on=["slow", "fast3"])(noting(started, "join", 1))
    begun = trio.current_time()
    result = await wf.execute()
    assert result.ok
    begins = {name: at - begun for name, at in started.items()}
    assert begins == pytest.approx({"slow": 0, "fast": 0, "fast2": 1, "fast3": 2, "join": 10})


async def test_a_task_that_leaves_a_scope_open_does_not_cut_the_next(
    autojump_clock: MockClock,
) -> None:
    """A forgotten timeout ends with the task that forgot it."""
    wf = trouper.Workflow("careless")

    @wf.task
    async def careless() -> str:
        trio.move_on_after(1).__enter__()
        return "done"

    wf.task(name="after", depends_on=careless)(sleeps(10, "slept"))
    result = await wf.execute()
    assert result.unwrap() == {"careless": "done", "after": "slept"}
    assert result.seconds == pytest.approx(10)


@pytest.mark.parametrize("slowest", range(4))
async def test_fan_out_is_whole_and_the_join_not_early(
    slowest: int, autojump_clock: MockClock
) -> None:
    """F19: with slow bodies, whichever is the slowest."""
    wf = trouper.Workflow("fan")
    wf.task(name="root")(sleeps(1, "root"))

    def branch(number: int) -> Any:
        async def work(ctx: trouper.TaskContext) -> tuple[int, str]:
            await trio.sleep(9 if number == slowest else 1 + number / 10)
            return number, ctx.inputs

        return work

    names = [f"branch{number}" for number in range(40)]
    for number, name in enumerate(names):
        wf.task(name=name, depends_on="root")(branch(number))

    @wf.task(depends_on=names)
    async def join(ctx: trouper.TaskContext) -> Mapping[str, Any]:
        assert trio.current_time() >= begun + 10
        return dict(ctx.inputs)

    begun = trio.current_time()
    outputs = (await wf.execute()).unwrap()
    assert outputs["join"] == {name: (number, "root") for number, name in enumerate(names)}
    assert list(outputs["join"]) == names


async def test_inputs_are_bare_or_an_immutable_mapping_in_order() -> None:
    wf = trouper.Workflow()
    seen: dict[str, Any] = {}
    wf.task(name="a")(sleeps(0, 1))
    wf.task(name="b")(sleeps(0, 2))

    @wf.task(depends_on="a")
    async def one(ctx: trouper.TaskContext) -> None:
        seen["one"] = ctx.inputs

    @wf.task(depends_on=["b", "a"])
    async def two(ctx: trouper.TaskContext) -> None:
        seen["two"] = ctx.inputs
        with pytest.raises(TypeError):
            ctx.inputs["a"] = 3

    @wf.task
    async def none(ctx: trouper.TaskContext) -> None:
        seen["none"] = ctx.inputs

    (await wf.execute()).unwrap()
    assert seen == {"one": 1, "two": {"b": 2, "a": 1}, "none": None}
    assert isinstance(seen["two"], MappingProxyType)
    assert list(seen["two"]) == ["b", "a"]


async def test_none_is_a_value_like_any_other() -> None:
    """F5: what a task returned is never confused with an output that is missing."""
    wf = trouper.Workflow()
    wf.task(name="nothing")(sleeps(0, None))
    wf.task(name="zero")(sleeps(0, 0))

    @wf.task(depends_on=["nothing", "zero"])
    async def join(ctx: trouper.TaskContext) -> list[str]:
        return list(ctx.inputs)

    result = await wf.execute()
    assert result.outputs == {"nothing": None, "zero": 0, "join": ["nothing", "zero"]}


async def test_a_missing_upstream_is_refused_before_anything_runs() -> None:
    """F5"""
    ran: list[str] = []
    wf = trouper.Workflow()

    @wf.task(depends_on="fetch")
    async def parse(ctx: trouper.TaskContext) -> None:
        ran.append("parse")

    with pytest.raises(trouper.GraphError, match="'parse' depends on 'fetch'"):
        await wf.execute()
    assert ran == []


async def test_state_is_the_users_own_object_and_outputs_are_out_of_reach() -> None:
    """F4"""

    class State:
        total = 0

    state = State()
    wf = trouper.Workflow()

    @wf.task
    async def first(ctx: trouper.TaskContext[State]) -> int:
        ctx.state.total += 5
        assert not hasattr(ctx.state, "outputs")
        return 1

    @wf.task(depends_on="first")
    async def second(ctx: trouper.TaskContext[State]) -> Any:
        ctx.state.total += 10
        with pytest.raises(AttributeError):
            ctx.state = State()  # type: ignore[misc]  # the refusal is what is tested
        return ctx.state

    outputs = (await wf.execute(state=state)).unwrap()
    assert outputs["second"] is state
    assert state.total == 15
    assert (await wf.execute(state=State())).outputs["first"] == 1
    assert state.total == 15


async def test_plain_parameters_are_filled_from_upstreams() -> None:
    wf = trouper.Workflow()

    @wf.task
    async def seven() -> int:
        return 7

    @wf.task(depends_on="seven")
    async def double(n: int) -> int:
        return 2 * n

    @wf.task(depends_on=["double", "seven"])
    def minus(seven: int, double: int) -> int:
        return double - seven

    @wf.task(depends_on=["seven", "double"])
    async def with_ctx(ctx: trouper.TaskContext, seven: int, double: int) -> tuple[str, int]:
        return ctx.action.name, seven + double

    assert (await wf.execute()).unwrap() == {
        "seven": 7,
        "double": 14,
        "minus": 7,
        "with_ctx": ("with_ctx", 21),
    }


class Broken(RuntimeError): ...


async def test_a_failure_ends_the_run_and_keeps_what_was_finished(
    autojump_clock: MockClock,
) -> None:
    """F12: the outputs of finished siblings stay, and the result says what went wrong."""
    cleaned: list[str] = []
    wf = trouper.Workflow("honest")
    wf.task(name="done")(sleeps(1, "kept"))
    wf.task(name="bad")(fails(Broken("no luck"), after=2))

    @wf.task
    async def endless(ctx: trouper.TaskContext) -> None:
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append("endless")

    result = await wf.execute()
    assert (result.status, result.ok, result.failed_node) == ("failed", False, "bad")
    assert result.outputs == {"done": "kept"}
    assert result.seconds == pytest.approx(2)
    assert "'bad' failed: Broken('no luck')" in result.reason
    assert cleaned == ["endless"]
    states = {name: node.state for name, node in result.nodes.items()}
    assert states == {"done": "done", "bad": "failed", "endless": "cancelled"}
    assert result.nodes["bad"].failures[0].message == "no luck"


async def test_the_first_failure_is_the_one_that_is_told(autojump_clock: MockClock) -> None:
    """And one that comes while the run is already ending changes nothing."""
    wf = trouper.Workflow()
    first = Broken("first")
    wf.task(name="first")(fails(first, after=1))

    @wf.task
    async def second(ctx: trouper.TaskContext) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Broken("second")

    result = await wf.execute()
    assert (result.error, result.failed_node) == (first, "first")
    assert result.nodes["second"].state == "failed"
    assert [each.message for each in result.nodes["second"].failures] == ["second"]


async def test_the_error_is_the_original_with_its_traceback() -> None:
    """F35"""
    error = Broken("no luck")
    wf = trouper.Workflow()
    wf.task(name="bad")(fails(error))
    result = await wf.execute()
    assert result.error is error
    assert "fails" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    with pytest.raises(Broken) as caught:
        result.unwrap()
    assert caught.value is error


async def test_a_dependency_that_never_runs_does_not_hang_the_join(
    autojump_clock: MockClock,
) -> None:
    """F20: when something upstream fails, those behind it are not waited for."""
    wf = trouper.Workflow()
    wf.task(name="bad")(fails(Broken()))
    wf.task(name="never", depends_on="bad")(sleeps(1))
    wf.task(name="good")(sleeps(0, 1))
    wf.task(name="join", depends_on=["never", "good"])(sleeps(1))
    with trio.fail_after(5):
        result = await wf.execute()
    assert result.status == "failed"
    assert result.nodes["never"].state == result.nodes["join"].state == "cancelled"
    assert result.nodes["never"].incarnation == 0


async def test_cancel_is_cancelled_not_failed(autojump_clock: MockClock) -> None:
    """F11: and `wait` tells it too."""
    wf = trouper.Workflow()
    wf.task(name="done")(sleeps(1, 5))
    wf.task(name="long")(sleeps(100))
    async with wf.open() as run:
        await trio.sleep(2)
        run.cancel()
        run.cancel("again")
        result = await run.wait()
    assert (result.status, result.error, result.outputs) == ("cancelled", None, {"done": 5})
    assert result.reason == "run.cancel() was called"
    with pytest.raises(trouper.RunCancelled, match=r"was cancelled: run\.cancel\(\) was called"):
        result.unwrap()


async def test_a_task_that_may_be_restarted_gets_further_attempts(
    autojump_clock: MockClock,
) -> None:
    tries: list[float] = []
    wf = trouper.Workflow()

    @wf.task(restart="transient", max_restarts=3, backoff=trouper.Backoff(min=1, jitter=0))
    async def flaky(ctx: trouper.TaskContext) -> int:
        tries.append(trio.current_time())
        if len(tries) < 3:
            raise Broken(f"try {len(tries)}")
        return len(tries)

    result = await wf.execute()
    assert result.unwrap() == {"flaky": 3}
    assert [each - tries[0] for each in tries] == pytest.approx([0, 0, 1])
    assert result.nodes["flaky"].failed == 2
    assert [each.message for each in result.nodes["flaky"].failures] == ["try 1", "try 2"]


async def test_a_class_is_made_anew_for_each_attempt_and_an_instance_kept() -> None:
    class Count:
        def __init__(self) -> None:
            self.calls = 0

        async def execute(self, ctx: trouper.TaskContext) -> int:
            self.calls += 1
            if ctx.state.setdefault(id(self), 0) == 0 and len(ctx.state) < 3:
                ctx.state[id(self)] = 1
                raise Broken
            return self.calls

    wf = trouper.Workflow()
    kept = wf.add(Count(), name="kept", restart="transient")
    assert (await wf.execute(state={})).unwrap() == {"kept": 2}
    assert kept.calls == 2


async def test_names_are_kept_or_inferred_and_never_taken_twice() -> None:
    """F16"""

    class FetchTask:
        async def execute(self, ctx: trouper.TaskContext) -> str:
            return ctx.action.name

    wf = trouper.Workflow("names")
    wf.add(FetchTask())
    wf.add(FetchTask(), name="my_task")
    with pytest.raises(ValueError, match="already has a node 'fetch'; give one of the two another"):
        wf.add(FetchTask)
    assert (await wf.execute()).unwrap() == {"fetch": "fetch", "my_task": "my_task"}


async def test_equal_workflows_are_different_runs() -> None:
    """F16: nothing is shared by name or shape."""

    def build(value: int) -> trouper.Workflow:
        wf = trouper.Workflow("same")
        wf.task(name="only")(sleeps(0, value))
        return wf

    one, two = await build(1).execute(), await build(2).execute()
    assert (one.outputs, two.outputs) == ({"only": 1}, {"only": 2})
    assert one.run_name != two.run_name


async def test_a_workflow_runs_more_than_once_and_at_the_same_time(
    autojump_clock: MockClock,
) -> None:
    wf = trouper.Workflow()

    @wf.task
    async def who(ctx: trouper.TaskContext) -> Any:
        await trio.sleep(1)
        return ctx.deps

    found: dict[int, Any] = {}

    async def one(number: int) -> None:
        found[number] = (await wf.execute(deps=number)).outputs["who"]

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(one, number)
    assert found == {number: number for number in range(5)}
