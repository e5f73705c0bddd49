"""The page `task-context.md`, sentence by sentence, as far as no workspace is needed for it.

Its code stands here as it stands there.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import trio

import trouper
from harness.bodies import collects, counts, sleeps
from harness.loops import in_loop
from trouper import Actor, ActorContext, ProfileConfig, Task, TaskContext

# -- "the execution boundary between a workflow definition and the code inside one task" ----------


class Look(Task):
    async def execute(self, ctx: TaskContext) -> dict[str, Any]:
        fields = ("state", "deps", "inputs", "config", "run_context")
        return {name: getattr(ctx, name) for name in fields}


async def run_one(task: Any, **options: Any) -> Any:
    wf = trouper.Workflow("page")
    wf.add(task, name="only")
    return (await wf.execute(**options)).unwrap()["only"]


# -- "The Core View of a Task" --------------------------------------------------------------------


async def test_every_task_sees_the_same_basic_shape() -> None:
    """class TaskContext[StateT, DepsT, InputT]: state, deps, inputs, config, run_context."""
    state, deps, run = object(), object(), trouper.RunContext(run_name="r")
    seen = await run_one(Look, state=state, deps=deps, run_context=run, config={"lr": 0.1})
    assert seen["state"] is state
    assert seen["deps"] is deps
    assert seen["inputs"] is None
    assert isinstance(seen["config"], ProfileConfig)
    assert seen["run_context"] is run
    # No checker knows it of an alias.
    assert TaskContext[int, str, bytes].__args__ == (int, str, bytes)  # type: ignore[attr-defined]


async def test_state_is_the_shared_mutable_state_object_for_the_execution() -> None:
    """`ctx.state` is the shared mutable state object for the workflow execution."""
    wf = trouper.Workflow()

    @wf.task
    async def first(ctx: TaskContext) -> None:
        ctx.state["seen"] = ["first"]

    @wf.task(depends_on="first")
    async def second(ctx: TaskContext) -> None:
        ctx.state["seen"].append("second")

    @wf.actor(depends_on="second")
    async def third(ctx: ActorContext) -> None:
        ctx.state["seen"].append("third")

    state: dict[str, Any] = {}
    (await wf.execute(state=state)).unwrap()
    assert state == {"seen": ["first", "second", "third"]}


async def test_deps_is_where_runtime_injected_dependencies_live() -> None:
    """`ctx.deps` is where runtime-injected dependencies live."""

    class Fetch(Task):
        async def execute(self, ctx: TaskContext) -> Any:
            return ctx.deps["client"]()

    assert await run_one(Fetch, deps={"client": lambda: "injected"}) == "injected"


async def test_inputs_is_the_upstreams_value_or_a_keyed_mapping() -> None:
    """... or a keyed mapping when fan-in creates more than one upstream parent."""
    wf = trouper.Workflow()
    wf.task(name="a")(sleeps(0, 1))
    wf.task(name="b")(sleeps(0, 2))
    wf.add(Look, name="one", depends_on="a")
    wf.add(Look, name="two", depends_on=["a", "b"])
    outputs = (await wf.execute()).unwrap()
    assert outputs["one"]["inputs"] == 1
    assert outputs["two"]["inputs"] == {"a": 1, "b": 2}
    assert isinstance(outputs["two"]["inputs"], Mapping)


async def test_config_always_exists() -> None:
    """... which always exists even when no named profile was selected."""
    config = (await run_one(Look))["config"]
    assert (dict(config), config.name) == ({}, None)
    chosen = ProfileConfig({"lr": 1}, name="fast")
    assert (await run_one(Look, profile_config=chosen))["config"] is chosen


async def test_run_context_is_the_underlying_execution_context() -> None:
    """Here every execution has one; without a workspace it is in memory."""
    context = (await run_one(Look))["run_context"]
    assert isinstance(context, trouper.RunContext)
    assert context.workspace is None


# -- "Reading Configuration" ----------------------------------------------------------------------


class Train(Task):
    async def execute(self, ctx: TaskContext) -> dict:  # type: ignore[type-arg]  # the page's words
        lr = ctx.config.get("lr", 1e-3)
        batch = ctx.config.get("batch", 32)
        return {"lr": lr, "batch": batch}


async def test_read_optional_settings_with_get_and_defaults() -> None:
    """The page's `Train`, verbatim."""
    assert await run_one(Train) == {"lr": 1e-3, "batch": 32}
    assert await run_one(Train, config={"lr": 0.5}) == {"lr": 0.5, "batch": 32}


async def test_config_behaves_like_a_read_only_mapping() -> None:
    """F18"""

    class Change(Task):
        async def execute(self, ctx: TaskContext) -> list[str]:
            config: Any = ctx.config
            with pytest.raises(TypeError):
                config["lr"] = 1
            with pytest.raises(TypeError):
                config["deep"]["lr"] = 1
            return list(config)

    assert await run_one(Change, config={"deep": {"lr": 2}}) == ["deep"]


async def test_no_meaning_is_attached_to_keys() -> None:
    """... it does not attach special meaning to arbitrary keys."""
    odd = {"name": "x", "capacity": -1, "depends_on": "?", "": None}
    assert (await run_one(Look, config=odd))["config"] == odd


# -- "Working Under a Run": "intentionally soft when no run is attached" --------------------------


async def test_helpers_are_soft_without_a_workspace() -> None:
    """`ctx.artifact`, `ctx.log(name)`, `ctx.find_asset`, and `ctx.checkpoint` all return None."""

    class Soft(Task):
        async def execute(self, ctx: TaskContext) -> list[Any]:
            return [
                ctx.artifact,
                ctx.log("train"),
                ctx.find_asset("training-data"),
                ctx.checkpoint("model", data={"w": 1}),
            ]

    assert await run_one(Soft) == [None] * 4
    assert await Soft().execute(TaskContext()) == [None] * 4


async def test_the_same_code_runs_before_a_workspace_exists() -> None:
    """F8: "that allows the same task code to be used during early local iteration"."""

    class Careful(Task):
        async def execute(self, ctx: TaskContext) -> dict[str, Any]:
            dataset = ctx.find_asset("training-data")
            ctx.set_result("final_loss", 0.05)
            if ctx.artifact:
                ctx.artifact.save("metrics.json", {"loss": 0.05})
            return {"loss": ctx.get_result("final_loss"), "data": dataset.path if dataset else None}

    assert await run_one(Careful) == {"loss": 0.05, "data": None}


async def test_results_are_the_lightweight_map_of_the_run() -> None:
    """`ctx.set_result(...)` and `ctx.get_result(...)` expose the lightweight result map."""
    wf = trouper.Workflow()

    @wf.task
    async def train(ctx: TaskContext) -> None:
        ctx.set_result("final_loss", 0.05)

    @wf.task(depends_on="train")
    async def report(ctx: TaskContext) -> Any:
        return ctx.get_result("final_loss"), ctx.get_result("other"), ctx.get_result("other", 1)

    result = await wf.execute()
    assert result.outputs["report"] == (0.05, None, 1)
    assert result.results == {"final_loss": 0.05}


# -- "ActorContext" -------------------------------------------------------------------------------


def transform(message: Any) -> Any:
    return {"seen": message}


class Monitor(Actor):
    async def run(self, ctx: ActorContext):  # type: ignore[no-untyped-def]  # the page's words
        while True:
            message = await ctx.receive()
            processed = transform(message)
            await ctx.send(processed)
            yield processed


async def test_monitor_runs_as_it_stands() -> None:
    """F1: each message is handled once, sent on once, and the loop just ends."""
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(100))
    wf.add(Monitor, depends_on="numbers")
    wf.actor(name="sink", depends_on="monitor")(collects(got))
    result = await wf.execute()
    assert result.unwrap()["monitor"] == {"seen": 99}
    assert got == [{"seen": number} for number in range(100)]
    assert result.nodes["monitor"].repeated == 100
    assert result.nodes["monitor"].state == "done"


async def test_monitor_takes_messages_from_outside() -> None:
    got: list[Any] = []
    wf = trouper.Workflow()
    wf.add(Monitor())
    async with wf.open() as run, run.stream("monitor") as xs:
        for number in range(3):
            await run.send(number)
            got.append(await anext(aiter(xs)))
    assert got == [{"seen": number} for number in range(3)]


def test_actor_context_extends_task_context() -> None:
    assert issubclass(ActorContext, TaskContext)
    shared = {name for name in dir(TaskContext) if not name.startswith("_")}
    assert shared < set(dir(ActorContext))


async def test_without_a_run_they_raise_not_implemented() -> None:
    """Those methods require a connected RunContext. Without one, they raise NotImplementedError."""
    ctx = ActorContext[Any, Any, Any, Any]()
    uses: list[Any] = [
        ctx.receive,
        lambda: ctx.send(1),
        ctx.receive_many,
        lambda: ctx.send_many([1]),
        lambda: in_loop(ctx),
        lambda: anext(aiter(ctx)),
    ]
    for use in uses:
        with pytest.raises(NotImplementedError, match=r"await wf\.execute\(\)"):
            await use()


async def test_the_first_of_both_is_driven_by_hand() -> None:
    """Actor-style execution only makes sense when there is a real execution context."""
    stream: AsyncIterator[Any] = Monitor().run(ActorContext())
    with pytest.raises(NotImplementedError):
        await anext(stream)


# -- "Typing and Ergonomics": see tests/typing/contexts.py ----------------------------------------


async def test_plain_task_context_is_enough_for_prototypes() -> None:
    """For quick prototypes, plain `TaskContext` is usually enough."""

    async def prototype(ctx: TaskContext) -> int:
        await trio.lowlevel.checkpoint()
        return 1

    assert await run_one(prototype) == 1


async def test_subclasses_carry_types_through_their_generic_parameters() -> None:
    """And edges are checked with them."""

    class Fetch(Task[Any, Any, None, list[str]]):
        async def execute(self, ctx: TaskContext[Any, Any, None]) -> list[str]:
            return ["a"]

    class Count(Task[Any, Any, list[str], int]):
        async def execute(self, ctx: TaskContext[Any, Any, list[str]]) -> int:
            return len(ctx.inputs)

    wf = trouper.Workflow()
    wf.add(Fetch)
    wf.add(Count, depends_on="fetch")
    assert (await wf.execute()).unwrap() == {"fetch": ["a"], "count": 1}
    wf.add(Count, name="wrong", depends_on="count")
    with pytest.raises(trouper.GraphError, match="'count' gives int, which is never list"):
        wf.check()
