"""`ctx.checkpoint`: a chain that goes on through attempts and executions, and is read again."""

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.assets import context_of, execute, run_assets, workspace
from trouper.runtime.assets._run_assets import RunAssets


@pytest.fixture
def assets(tmp_path: Path) -> Iterator[RunAssets]:
    with run_assets(tmp_path / "ws") as found:
        yield found


@pytest.mark.parametrize(
    "data", [{"w": [1.5, None], "b": b"\xff"}, [1], "text", None, 7, b"raw", math.inf]
)
def test_the_latest_is_loaded(assets: RunAssets, data: Any) -> None:
    ctx = context_of(assets)
    kept = ctx.checkpoint("model", data=data)
    assert isinstance(kept, trouper.CheckpointAsset)
    assert ctx.checkpoints("model").latest() == kept
    assert ctx.checkpoints("model").latest().load() == data
    assert kept.path.is_file()


def test_each_is_chained_to_the_one_before(assets: RunAssets) -> None:
    """Seed page: writes a CheckpointAsset chained to the previous checkpoint."""
    ctx = context_of(assets)
    kept = [ctx.checkpoint("model", data=number) for number in range(4)]
    assert kept[0].previous is None
    assert [each.previous for each in kept[1:]] == [each.id for each in kept[:-1]]
    assert [each.load() for each in ctx.checkpoints("model")] == [3, 2, 1, 0]
    assert len(ctx.checkpoints("model")) == 4
    assert ctx.checkpoint("other", data=0).previous is None
    assert ctx.checkpoints("none").latest() is None
    assert list(ctx.checkpoints("none")) == []


def test_the_chain_goes_on_in_another_execution(tmp_path: Path) -> None:
    """F9: it never starts again at None."""
    last = None
    for number in range(3):
        with run_assets(tmp_path) as assets:
            kept = context_of(assets).checkpoint("model", data=number)
            assert (kept.previous, kept.version) == (last, number + 1)
            last = kept.id
            if number == 1:
                assets.close()


def test_two_at_once_do_not_follow_the_same_one(assets: RunAssets) -> None:
    ctx = context_of(assets)

    def work() -> None:
        for number in range(20):
            ctx.checkpoint("model", data=number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(ctx.checkpoints("model")) == 80


def test_a_file_that_nobody_recorded_is_stepped_over(assets: RunAssets) -> None:
    """Its process was killed between the two."""
    ctx = context_of(assets)
    first = ctx.checkpoint("model", data=1)
    orphan = first.path.parent / "@2" / first.path.name
    orphan.parent.mkdir()
    orphan.write_bytes(b"")
    second = ctx.checkpoint("model", data=2)
    assert (second.version, second.previous) == (3, first.id)


def test_what_cant_be_kept_leaves_the_chain_alone(assets: RunAssets) -> None:
    ctx = context_of(assets)
    first = ctx.checkpoint("model", data=1)
    with pytest.raises(trouper.AssetDataError, match="object is no plain data"):
        ctx.checkpoint("model", data=object())
    with pytest.raises(trouper.AssetNameError):
        ctx.checkpoint("../model", data=1)
    assert ctx.checkpoints("model").latest() == first


async def test_an_actor_goes_on_where_its_last_checkpoint_was(tmp_path: Path) -> None:
    """F9: `ctx.restore()` after a restart, and in the next execution."""
    begun: list[Any] = []

    def make() -> trouper.Workflow:
        wf = trouper.Workflow()

        @wf.actor
        async def numbers(ctx: trouper.ActorContext) -> Any:
            for number in range(6):
                await ctx.send(number)

        @wf.actor(depends_on="numbers", max_attempts=2)
        async def total(ctx: trouper.ActorContext) -> None:
            state = ctx.restore(default={"sum": 0, "seen": 0})
            begun.append((ctx.attempt, state["sum"]))
            async for number in ctx:
                if number == 3 and ctx.attempt == 1:
                    raise OSError("once")
                state = {"sum": state["sum"] + number, "seen": state["seen"] + 1}
                ctx.checkpoint("total", data=state)

        return wf

    with workspace(tmp_path) as place:
        (await execute(make(), place.run())).unwrap()
        assert begun == [(1, 0), (2, 3)]
        (await execute(make(), place.run(), execution=2)).unwrap()
        assert begun[2] == (1, 15)


def test_restore_is_of_the_task_itself_or_of_a_name(assets: RunAssets) -> None:
    one, two = context_of(assets, "one"), context_of(assets, "two")
    one.checkpoint("a", data=1)
    two.checkpoint("b", data=2)
    assert (one.restore(), two.restore(), two.restore("a")) == (1, 2, 1)
    assert context_of(assets, "three").restore(default="none") == "none"
    assert one.restore("nothing", default=0) == 0


def test_restore_takes_what_was_recorded_last_whatever_the_clock_says(
    assets: RunAssets, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = context_of(assets)
    ctx.checkpoint("a", data="first")
    monkeypatch.setattr("time.time", lambda: 5.0)
    ctx.checkpoint("b", data="last")
    assert ctx.restore() == "last"


def test_without_a_run_it_is_soft() -> None:
    ctx = trouper.TaskContext[Any, Any, Any]()
    assert ctx.checkpoint("a", data=1) is None
    assert ctx.checkpoints("a") is None
    assert ctx.restore() is None
    assert ctx.restore("a", default=1) == 1
    assert ctx.data_assets is None
    ctx.set_active_task("train")
