"""What type checkers know of contexts, tasks and actors. Nothing here runs; `make lint` checks it.

An ignored error is one that has to be there: mypy refuses an ignore without one.

"When you want static typing to line up across a larger workflow, parameterize the upstream and
downstream task contexts explicitly. Task subclasses can carry the same type information through
their generic parameters" (task-context.md).
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, TypedDict, assert_type

import msgspec

import trouper


class State:
    total: int = 0


class Model(msgspec.Struct, frozen=True):
    lr: float = 1e-3


class Settings(msgspec.Struct, frozen=True):
    model: Model = Model()
    names: tuple[str, ...] = ()


class Deps:
    url: str = ""


# -- plain contexts -----------------------------------------------------------------------------


async def plain(ctx: trouper.TaskContext) -> None:
    """Parameters that are left out are Any."""
    assert_type(ctx.state, Any)
    assert_type(ctx.deps, Any)
    assert_type(ctx.inputs, Any)
    assert_type(ctx.config, trouper.ProfileConfig)
    assert_type(ctx.run_context, trouper.RunContext | None)
    assert_type(ctx.action, trouper.ActionID)
    assert_type(ctx.custom_context, dict[str, str])
    assert_type(ctx.is_in_cluster(), bool)


async def typed(ctx: trouper.TaskContext[State, Deps, list[str]]) -> None:
    assert_type(ctx.state, State)
    assert_type(ctx.state.total, int)
    assert_type(ctx.deps, Deps)
    assert_type(ctx.inputs, list[str])
    ctx.state = State()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def configured(ctx: trouper.TaskContext) -> None:
    """With a schema all of the configuration has types."""
    settings = ctx.config.typed(Settings)
    assert_type(settings, Settings)
    assert_type(settings.model.lr, float)
    assert_type(settings.names, tuple[str, ...])
    settings.model = Model()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def partly(ctx: trouper.TaskContext[State]) -> None:
    assert_type(ctx.state, State)
    assert_type(ctx.inputs, Any)


# -- actors ---------------------------------------------------------------------------------------


async def actor(ctx: trouper.ActorContext[State, Deps, int, str]) -> None:
    assert_type(await ctx.receive(), int)
    assert_type(await ctx.receive_many(10), list[int])
    assert_type(ctx.message, trouper.Envelope[int] | None)
    assert_type(ctx.state, State)
    assert_type(bool(ctx.stopping), bool)
    async for message in ctx:
        assert_type(message, int)
    async for tick in ctx.every(1.0):
        assert_type(tick, int)
    await ctx.send("text")
    await ctx.send_many(["a", "b"])
    await ctx.send(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def output_is_left_out(ctx: trouper.ActorContext[None, None, Mapping[str, int]]) -> None:
    """`OutputT` has the default Any."""
    assert_type(await ctx.receive(), Mapping[str, int])
    await ctx.send(object())


class Inputs(TypedDict):
    """Of an actor with batch upstreams and streams (docs/graphs.md)."""

    limit: float
    samples: list[float]


async def both_kinds(ctx: trouper.ActorContext[None, None, Inputs, float]) -> None:
    assert_type(ctx.inputs["limit"], float)
    async for message in ctx:
        assert_type(message["samples"], list[float])
    _ = ctx.inputs["limits"]  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues]


# -- base classes ---------------------------------------------------------------------------------


class Fetch(trouper.Task[State, Deps, None, list[str]]):
    async def execute(self, ctx: trouper.TaskContext[State, Deps, None]) -> list[str]:
        assert_type(ctx.inputs, None)
        return [ctx.deps.url]


class Parse(trouper.Actor[State, Deps, str, int]):
    async def run(self, ctx: trouper.ActorContext[State, Deps, str, int]) -> AsyncGenerator[int]:
        async for line in ctx:
            assert_type(line, str)
            yield len(line)


class Wrong(trouper.Task[State, Deps, None, int]):
    async def execute(  # type: ignore[override]
        self, ctx: trouper.TaskContext[State, Deps, None]
    ) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ""


# -- protocols: nothing of trouper's has to be imported -------------------------------------------


class Bare:
    async def execute(self, ctx: trouper.TaskContext) -> int:
        return 1


class BareStream:
    async def run(self, ctx: trouper.ActorContext) -> AsyncIterator[str]:
        yield ""


runnable: trouper.Runnable[trouper.TaskContext, int] = Bare()
streamable: trouper.Streamable[trouper.ActorContext, str] = BareStream()
not_runnable: trouper.Runnable = BareStream()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


# -- workflows ------------------------------------------------------------------------------------

wf = trouper.Workflow("typed")


@wf.task
async def kept(ctx: trouper.TaskContext) -> int:
    return 1


@wf.task(depends_on="kept", collect="all", max_items=3)
def kept_too(n: int) -> str:
    return str(n)


assert_type(kept_too(1), str)
assert_type(wf.add(Bare()), Bare)
assert_type(wf.add(BareStream, depends_on={"kept": trouper.Edge(capacity=3)}), type[BareStream])
wf.task(colect="all")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
wf.actor(overflow="spill")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def running() -> None:
    result = await wf.execute(state=State(), config={"lr": 1})
    assert_type(result, trouper.WorkflowResult)
    assert_type(result.error, Exception | None)
    assert_type(result.unwrap(), Mapping[str, Any])
    async with wf.open() as run, run.stream("kept") as xs:
        assert_type(run, trouper.LiveRun)
        assert_type(xs, trouper.Stream)
        assert_type(run.status(), trouper.StatusReport)
        assert_type(await run.wait(), trouper.WorkflowResult)
        await run.send(1, to=kept)


def outside() -> None:
    current = trouper.ctx()
    assert_type(current, trouper.TaskContext[Any, Any, Any] | None)
    if current is not None:
        assert_type(current.action.run_name, str)
