"""Who made an asset: filled in by itself, and right also when tasks interleave (F6)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from harness.assets import Place, context_of, execute, run_assets, workspace
from trouper.runtime.assets import _producing
from trouper.runtime.assets._catalog import Catalog
from trouper.runtime.assets._run_assets import open_run_assets


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with workspace(tmp_path) as found:
        yield found


async def made_by(wf: trouper.Workflow, place: Place, **options: Any) -> dict[str, Any]:
    """Execute a workflow under a run; return the producers of what it made, by name."""
    (await execute(wf, place.run(), **options)).unwrap()
    return {each.name: each.producer for each in Catalog(place.store).query_assets()}


async def test_it_names_run_execution_task_and_attempt(place: Place) -> None:
    """Seed page: assets written this way carry a Producer record automatically."""
    wf = trouper.Workflow()

    @wf.task(restart="transient")
    async def train(ctx: trouper.TaskContext) -> None:
        ctx.artifact.save(f"at-{ctx.attempt}", b"")
        if ctx.attempt == 1:
            raise OSError("once")

    made = await made_by(wf, place, execution=7)
    assert made["at-1"] == trouper.Producer(
        run="r", project="p", experiment="e", execution=7, task="train", attempt=1
    )
    assert made["at-2"].attempt == 2


async def test_tasks_that_interleave_are_not_mixed_up(place: Place) -> None:
    """F6: in the original they are credited with each other's files."""
    wf = trouper.Workflow()

    def body(name: str) -> Any:
        async def work(ctx: trouper.TaskContext) -> None:
            for number in range(5):
                await trio.lowlevel.checkpoint()
                ctx.artifact.save(f"{name}-{number}", b"")
                found = trouper.ctx()
                assert found is not None
                found.artifact.save(f"{name}-{number}-again", b"")

        return work

    names = ("one", "two", "three")
    for name in names:
        wf.task(name=name)(body(name))
    made = await made_by(wf, place)
    assert len(made) == 30
    assert all(by.task == asset.split("-")[0] for asset, by in made.items())


async def test_threads_and_helpers_know_their_task(place: Place) -> None:
    wf = trouper.Workflow()

    def helper(name: str) -> None:
        context = trouper.ctx()
        assert context is not None
        context.artifact.save(name, b"")

    @wf.task
    def blocking(ctx: trouper.TaskContext) -> None:
        helper("from a thread")

    @wf.task
    async def waiting(ctx: trouper.TaskContext) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, helper, "from a thread of a child")

    made = await made_by(wf, place)
    assert made["from a thread"].task == "blocking"
    assert made["from a thread of a child"].task == "waiting"


async def test_actors_name_the_message_in_hand(place: Place) -> None:
    wf = trouper.Workflow()

    @wf.actor
    async def numbers(ctx: trouper.ActorContext) -> Any:
        for number in range(2):
            await ctx.send(number)

    @wf.actor(depends_on="numbers")
    async def save(ctx: trouper.ActorContext) -> None:
        ctx.artifact.save("before", b"")
        async for number in ctx:
            ctx.artifact.save(f"of {number}", b"")

    made = await made_by(wf, place)
    assert made["before"].message is None
    assert made["of 1"].message == trouper.MessageRef(id="numbers:2", source="numbers", seq=2)
    assert made["of 1"].upstream == ("numbers",)


async def test_a_message_that_comes_again_is_another_attempt(place: Place) -> None:
    wf = trouper.Workflow()

    @wf.actor
    async def numbers(ctx: trouper.ActorContext) -> Any:
        await ctx.send(0)

    @wf.actor(depends_on="numbers")
    async def save(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            assert ctx.message is not None
            ctx.artifact.save(f"at {ctx.message.attempt}", b"")
            if ctx.message.attempt == 1:
                raise OSError("once")

    made = await made_by(wf, place)
    assert [made[name].message.attempt for name in ("at 1", "at 2")] == [1, 2]
    assert [made[name].attempt for name in ("at 1", "at 2")] == [1, 2]


async def test_called_tasks_are_their_own_producers(place: Place) -> None:
    env = trouper.TaskEnvironment("env")

    @env.task
    async def leaf() -> None:
        context = trouper.ctx()
        assert context is not None
        context.artifact.save("leaf", b"")

    wf = trouper.Workflow()

    @wf.task
    async def caller(ctx: trouper.TaskContext) -> None:
        ctx.set_active_task("renamed")
        await leaf()
        ctx.artifact.save("caller", b"")

    made = await made_by(wf, place)
    assert made["leaf"].task == "caller/leaf-1"
    assert made["leaf"].upstream == ("caller",)
    assert made["leaf"].attempt == 1
    assert made["caller"].task == "renamed"


async def test_a_task_that_an_actor_calls_names_the_actors_message(place: Place) -> None:
    env = trouper.TaskEnvironment("env")

    @env.task
    async def leaf() -> None:
        context = trouper.ctx()
        assert context is not None
        context.artifact.save("leaf", b"")

    wf = trouper.Workflow()

    @wf.actor
    async def numbers(ctx: trouper.ActorContext) -> Any:
        await ctx.send(0)

    @wf.actor(depends_on="numbers")
    async def caller(ctx: trouper.ActorContext) -> None:
        async for _ in ctx:
            await leaf()

    made = await made_by(wf, place)
    assert made["leaf"].message.id == "numbers:1"


async def test_set_active_task_is_for_the_task_that_calls_it(place: Place) -> None:
    """Seed page: if `ctx.set_active_task(task_id)` was called, the task_id is attached as well."""
    wf = trouper.Workflow()
    both_said = trio.Event()

    def body(active: str, other_said: trio.Event | None) -> Any:
        async def work(ctx: trouper.TaskContext) -> None:
            ctx.set_active_task(active)
            if other_said is not None:
                other_said.set()
            await both_said.wait()
            ctx.artifact.save(f"by {active}", b"")

        return work

    wf.task(name="a")(body("first", None))
    wf.task(name="b")(body("second", both_said))
    made = await made_by(wf, place)
    assert (made["by first"].task, made["by second"].task) == ("first", "second")


def test_set_active_task_takes_a_name(place: Place) -> None:
    context = context_of(open_run_assets(place.run()))
    for wrong in ("", None, 7):
        with pytest.raises(TypeError, match="set_active_task takes the name of a task"):
            context.set_active_task(wrong)  # type: ignore[arg-type]  # that is what is tested


# -- what was read before -------------------------------------------------------------------------


async def test_what_a_task_has_read_stands_in_what_it_makes(place: Place, tmp_path: Path) -> None:
    wf = trouper.Workflow()

    @wf.task
    async def first(ctx: trouper.TaskContext) -> None:
        ctx.artifact.save("data", [1])

    @wf.task(depends_on="first")
    async def second(ctx: trouper.TaskContext) -> None:
        ctx.artifact.save("early", b"")
        ctx.artifact.load("data")
        ctx.artifact.open("data").close()
        ctx.find_asset("data")
        ctx.artifact.save("late", b"")

    made = await made_by(wf, place)
    data = Catalog(place.store).query_assets(name="data")[0]
    assert made["early"].consumes == ()
    assert made["late"].consumes == (data.id,)
    assert made["late"].upstream == ("first",)
    uses = Catalog(place.store).consumes("r", "second")
    assert [each.asset for each in uses] == [data.id]


async def test_an_actor_has_read_what_it_read_over_this_message(place: Place) -> None:
    wf = trouper.Workflow()

    @wf.task
    async def first(ctx: trouper.TaskContext) -> None:
        for number in range(2):
            ctx.artifact.save(f"in-{number}", b"")

    @wf.actor(depends_on="first")
    async def numbers(ctx: trouper.ActorContext) -> Any:
        for number in range(2):
            await ctx.send(number)

    @wf.actor(depends_on="numbers")
    async def second(ctx: trouper.ActorContext) -> None:
        async for number in ctx:
            ctx.artifact.load(f"in-{number}")
            ctx.artifact.save(f"out-{number}", b"")

    made = await made_by(wf, place)
    catalog = Catalog(place.store)
    for number in range(2):
        source = catalog.query_assets(name=f"in-{number}")[0]
        assert made[f"out-{number}"].consumes == (source.id,)


def test_what_was_read_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_producing, "MOST_CONSUMED", 3)
    monkeypatch.setattr(_producing, "_MOST_TURNS", 2)
    assets = open_run_assets(place.run())
    one = context_of(assets, "one")
    ids = [one.artifact.save(f"a{number}", b"").id for number in range(5)]
    for number in range(5):
        one.artifact.load(f"a{number}")
    assert one.artifact.save("b", b"").producer.consumes == tuple(ids[2:])
    for other in ("two", "three"):
        context_of(assets, other).artifact.load("a0")
    assert one.artifact.save("c", b"").producer.consumes == ()


def test_outside_of_any_task_there_is_none(tmp_path: Path) -> None:
    with run_assets(tmp_path) as assets:
        asset = assets.artifact(None).save("x", b"")
        assets.artifact(None).load("x")
        assert asset.producer == trouper.Producer(run="r", project="p", experiment="e", execution=1)
        with pytest.raises(ValueError, match="needs the name"):
            assets.restore(None, None, None)
        with pytest.raises(RuntimeError, match="context of a task"):
            assets.set_active_task("train", None)
