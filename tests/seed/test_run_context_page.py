"""The page `run-context.md`, as far as its read side goes without a workspace or environments.

`trouper.ctx()` stands for `flyte.ctx()`.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

import trouper

RUN = trouper.RunContext(
    run_name="my-run",
    project="my-project",
    domain="development",
    org="acme",
    version="v7",
    raw_data_path="s3://my-bucket/runs/experiment-42/",
    run_base_dir="runs/base",
    custom_context={"team": "blue"},
    disable_run_cache=True,
)


async def run_one(body: Any, run_context: trouper.RunContext | None = None) -> Any:
    wf = trouper.Workflow("page")
    wf.task(name="only")(body)
    return (await wf.execute(run_context=run_context)).unwrap()["only"]


# -- "Reading context inside a task" --------------------------------------------------------------


async def inspect_context() -> str:
    """The page's code, verbatim but for the name of the module."""
    ctx = trouper.ctx()
    assert ctx is not None
    action = ctx.action
    return (
        f"run={action.run_name}, "
        f"action={action.name}, "
        f"mode={ctx.mode}, "
        f"in_cluster={ctx.is_in_cluster()}"
    )


async def test_inspect_context() -> None:
    expected = "run=my-run, action=only, mode=local, in_cluster=False"
    assert await run_one(inspect_context, RUN) == expected
    here = await run_one(inspect_context)
    assert here.startswith("run=page-")
    assert here.endswith(", action=only, mode=local, in_cluster=False")


async def test_outside_of_a_task_it_is_none() -> None:
    """F32: None itself, and no object that is merely falsy."""
    assert trouper.ctx() is None
    await run_one(inspect_context)
    assert trouper.ctx() is None


def test_outside_of_any_loop_it_is_none() -> None:
    assert trouper.ctx() is None


async def test_it_is_the_object_that_the_ctx_argument_is() -> None:
    """One context object, in tasks, actors, sync bodies, child tasks and threads."""
    found: list[bool] = []
    wf = trouper.Workflow()

    @wf.task
    async def task(ctx: trouper.TaskContext) -> None:
        found.append(trouper.ctx() is ctx)

        async def child() -> None:
            found.append(trouper.ctx() is ctx)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
        found.append(await trio.to_thread.run_sync(lambda: trouper.ctx() is ctx))

    @wf.task
    def sync(ctx: trouper.TaskContext) -> None:
        found.append(trouper.ctx() is ctx)

    @wf.actor
    async def actor(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        found.append(trouper.ctx() is ctx)
        yield 1
        found.append(trouper.ctx() is ctx)

    (await wf.execute()).unwrap()
    assert found == [True] * 6


# -- "TaskContext fields" -------------------------------------------------------------------------


async def read_fields(ctx: trouper.TaskContext) -> dict[str, Any]:
    names = (
        "mode",
        "version",
        "raw_data_path",
        "run_base_dir",
        "custom_context",
        "disable_run_cache",
    )
    return {name: getattr(ctx, name) for name in names} | {"in_cluster": ctx.is_in_cluster()}


async def test_task_context_fields() -> None:
    assert await run_one(read_fields, RUN) == {
        "mode": "local",
        "version": "v7",
        "raw_data_path": "s3://my-bucket/runs/experiment-42/",
        "run_base_dir": "runs/base",
        "custom_context": {"team": "blue"},
        "disable_run_cache": True,
        "in_cluster": False,
    }


async def test_task_context_fields_without_anything_said() -> None:
    """F32: `raw_data_path` is a str."""
    assert await run_one(read_fields) == {
        "mode": "local",
        "version": "",
        "raw_data_path": "",
        "run_base_dir": "",
        "custom_context": {},
        "disable_run_cache": False,
        "in_cluster": False,
    }


@pytest.mark.parametrize(
    ("mode", "expected"), [("local", False), ("hybrid", False), ("remote", True)]
)
def test_is_in_cluster_is_for_remote_alone(mode: Any, expected: bool) -> None:
    """Returns `True` when `mode == "remote"`."""
    ctx = trouper.TaskContext[Any, Any, Any](
        run_context=trouper.RunContext(run_name="r", mode=mode)
    )
    assert ctx.is_in_cluster() is expected


async def test_custom_context_is_fresh_each_time_and_the_same_everywhere() -> None:
    """Metadata propagated through the entire task hierarchy, readable inside any task."""
    seen: list[dict[str, str]] = []
    wf = trouper.Workflow()

    @wf.task
    async def first(ctx: trouper.TaskContext) -> None:
        ctx.custom_context["mine"] = "lost"
        seen.append(ctx.custom_context)

    @wf.actor(depends_on="first")
    async def second(ctx: trouper.ActorContext) -> AsyncIterator[int]:
        await ctx.receive()
        seen.append(ctx.custom_context)
        yield 1

    @wf.actor(depends_on="second")
    async def third(ctx: trouper.ActorContext) -> None:
        seen.extend([ctx.custom_context async for _ in ctx])

    (await wf.execute(run_context=RUN)).unwrap()
    assert seen == [{"team": "blue"}] * 3
    assert RUN.custom_context == {"team": "blue"}


# -- "ActionID fields" ----------------------------------------------------------------------------


async def test_action_id_fields() -> None:
    async def read(ctx: trouper.TaskContext) -> Any:
        return ctx.action

    action = await run_one(read, RUN)
    assert action == trouper.ActionID(
        name="only", run_name="my-run", project="my-project", domain="development", org="acme"
    )
    plain = await run_one(read)
    assert (plain.project, plain.domain, plain.org) == (None, None, None)


def test_run_name_defaults_to_name() -> None:
    """Name of the parent run (defaults to `name` if not set)."""
    assert trouper.ActionID(name="n").run_name == "n"
    assert trouper.ActionID(name="n", run_name="r").run_name == "r"


async def test_actions_are_unique_within_a_run_and_cannot_be_changed() -> None:
    names: list[str] = []
    wf = trouper.Workflow()
    for number in range(3):

        @wf.task(name=f"t{number}")
        async def body(ctx: trouper.TaskContext) -> None:
            names.append(ctx.action.name)
            with pytest.raises(AttributeError):
                ctx.action.name = "other"  # type: ignore[misc]  # the refusal is what is tested

    (await wf.execute()).unwrap()
    assert sorted(names) == ["t0", "t1", "t2"]


# -- "Naming external resources" ------------------------------------------------------------------


async def test_run_name_ties_external_tools_to_the_run() -> None:
    """Its name matches what you see of the run."""
    tracked: dict[str, Any] = {}

    async def train_model() -> float:
        ctx = trouper.ctx()
        assert ctx is not None
        tracked.update(project="my-project", name=ctx.action.run_name)
        return 0.42

    wf = trouper.Workflow("train")
    wf.task(train_model)
    result = await wf.execute()
    assert result.outputs == {"train_model": 0.42}
    assert tracked["name"] == result.run_name
