"""`trouper.ctx()` in tasks, helpers, child tasks, threads, and the custom context."""

import threading
from typing import Any

import pytest
import trio

import trouper

env = trouper.TaskEnvironment("contexts")
RUNNER = trouper.with_runcontext(
    name="context-run",
    project="my-project",
    domain="development",
    version="v7",
    raw_data_path="data/raw",
    run_base_dir="data/base",
    disable_run_cache=True,
    custom_context={"team": "blue", "user": "ann"},
    labels={"a": "b"},
    annotations={"c": "d"},
    service_account="robot",
    interruptible=True,
)


def helper() -> Any:
    context = trouper.ctx()
    assert context is not None
    return context.action.name


async def test_every_field_of_the_page() -> None:
    found: dict[str, Any] = {}

    @env.task(name="fields")
    async def fields() -> None:
        context = trouper.ctx()
        assert context is not None
        for name in ("action", "mode", "version", "raw_data_path", "run_base_dir"):
            found[name] = getattr(context, name)
        found["custom_context"] = context.custom_context
        found["disable_run_cache"] = context.disable_run_cache
        found["in_cluster"] = context.is_in_cluster()
        found["run"] = context.run_context

    run = await RUNNER.run.aio(fields)
    assert found.pop("run") is run.context
    assert found == {
        "action": trouper.ActionID(
            name="fields", run_name="context-run", project="my-project", domain="development"
        ),
        "mode": "local",
        "version": "v7",
        "raw_data_path": "data/raw",
        "run_base_dir": "data/base",
        "custom_context": {"team": "blue", "user": "ann"},
        "disable_run_cache": True,
        "in_cluster": False,
    }
    assert (run.context.labels, run.context.annotations) == ({"a": "b"}, {"c": "d"})
    assert (run.context.service_account, run.context.interruptible) == ("robot", True)


async def test_the_run_context_is_one_object_that_cannot_be_changed() -> None:
    seen: list[Any] = []

    @env.task(name="child_sees")
    async def child_sees() -> None:
        seen.append(trouper.ctx().run_context)  # type: ignore[union-attr]  # in a task it is there

    @env.task(name="parent_sees")
    async def parent_sees() -> None:
        await child_sees()
        seen.append(trouper.ctx().run_context)  # type: ignore[union-attr]  # likewise

    run = await RUNNER.run.aio(parent_sees)
    assert all(each is run.context for each in seen)
    with pytest.raises(AttributeError):
        run.context.project = "other"  # type: ignore[misc]  # the refusal is what is tested
    with pytest.raises(TypeError):
        run.context.custom_context["team"] = "red"  # type: ignore[index]  # likewise


async def test_the_context_is_the_action_s_own_everywhere() -> None:
    seen: dict[str, Any] = {}

    @env.task(name="in_thread")
    def in_thread() -> None:
        seen["sync task"] = helper()
        below_thread()

    @env.task(name="below_thread")
    def below_thread() -> None:
        seen["sync task of a sync task"] = helper()

    @env.task(name="everywhere")
    async def everywhere(ctx: trouper.TaskContext) -> None:
        seen["the argument"] = ctx is trouper.ctx()
        seen["helper"] = helper()
        seen["thread"] = await trio.to_thread.run_sync(helper)

        async def beside() -> None:
            seen["nursery"] = helper()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(beside)
        await in_thread.aio()
        seen["afterwards"] = helper()

    await RUNNER.run.aio(everywhere)
    assert trouper.ctx() is None
    assert seen == {
        "the argument": True,
        "helper": "everywhere",
        "thread": "everywhere",
        "nursery": "everywhere",
        "sync task": "everywhere/in_thread-1",
        "sync task of a sync task": "everywhere/in_thread-1/below_thread-1",
        "afterwards": "everywhere",
    }


def test_runs_from_several_threads_at_once_see_their_own() -> None:
    barrier = threading.Barrier(4, timeout=60)

    @env.task(name="own_name")
    def own_name() -> str:
        barrier.wait()
        context = trouper.ctx()
        assert context is not None
        return f"{context.action.run_name} {context.custom_context['k']}"

    found: list[str] = []

    def start(number: int) -> None:
        runner = trouper.with_runcontext(
            name=f"at-once-{number}", custom_context={"k": str(number)}
        )
        found.extend(runner.run(own_name).outputs())

    threads = [threading.Thread(target=start, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [f"at-once-{number} {number}" for number in range(4)]


# -- custom context -------------------------------------------------------------------------------


async def test_a_block_puts_pairs_over_the_run_s_and_takes_them_back() -> None:
    seen: list[dict[str, str]] = []

    @env.task(name="reads_pairs")
    def reads_pairs() -> None:
        seen.append(trouper.get_custom_context())

    @env.task(name="puts_pairs")
    async def puts_pairs() -> None:
        with trouper.custom_context(team="red", more="x"):
            await reads_pairs.aio()
            with trouper.custom_context(more="y"):
                await reads_pairs.aio()
        await reads_pairs.aio()

    await RUNNER.run.aio(puts_pairs)
    assert seen == [
        {"team": "red", "user": "ann", "more": "x"},
        {"team": "red", "user": "ann", "more": "y"},
        {"team": "blue", "user": "ann"},
    ]
    assert trouper.get_custom_context() == {}


async def test_a_block_holds_for_its_branch_only() -> None:
    seen: dict[str, str] = {}
    inside, looked = trio.Event(), trio.Event()

    @env.task(name="branches")
    async def branches() -> None:
        async def within() -> None:
            with trouper.custom_context(team="red"):
                inside.set()
                await looked.wait()
                seen["within"] = trouper.get_custom_context()["team"]

        async def beside() -> None:
            await inside.wait()
            seen["beside"] = trouper.get_custom_context()["team"]
            looked.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(within)
            nursery.start_soon(beside)

    await RUNNER.run.aio(branches)
    assert seen == {"within": "red", "beside": "blue"}


async def test_messages_that_are_sent_inside_of_a_block_carry_its_pairs() -> None:
    wf = trouper.Workflow("messages")
    seen: list[str | None] = []

    @wf.actor
    async def source(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        with trouper.custom_context(team="red"):
            await ctx.send(1)
        await ctx.send(2)

    @wf.actor(depends_on="source")
    async def sink(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        seen.extend([trouper.get_custom_context().get("team") async for _ in ctx])

    await RUNNER.run.aio(wf)
    assert seen == ["red", "blue"]


async def test_a_run_that_a_task_starts_has_its_own() -> None:
    """X1: nothing of the outer run leaks into the inner one."""
    seen: list[Any] = []

    @env.task(name="inner_run")
    async def inner_run() -> None:
        context = trouper.ctx()
        assert context is not None
        seen.append((context.action.run_name, context.action.name, context.custom_context))

    @env.task(name="outer_run")
    async def outer_run() -> None:
        with trouper.custom_context(team="red"):
            await trouper.with_runcontext(name="inner", custom_context={"k": "v"}).run.aio(
                inner_run
            )

    await RUNNER.run.aio(outer_run)
    assert seen == [("inner", "inner_run", {"k": "v"})]


async def test_pairs_are_checked_at_once() -> None:
    """F40"""

    @env.task(name="bad_pairs")
    async def bad_pairs() -> None:
        with trouper.custom_context(n=3):  # type: ignore[arg-type]  # the refusal is what is tested
            raise AssertionError("never entered")

    with pytest.raises(trouper.errors.RuntimeUserError, match="str to str, got 'n': 3"):
        await RUNNER.run.aio(bad_pairs)
    with pytest.raises(RuntimeError, match="with_runcontext"), trouper.custom_context(a="b"):
        raise AssertionError("never entered")
