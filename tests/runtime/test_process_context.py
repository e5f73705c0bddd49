"""`trouper.ctx()` in worker processes: what it tells, and what it refuses."""

import pickle
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness import in_worker
from trouper.runtime._process_context import ProcessContext, pack_context, read_context
from trouper.runtime._process_worker import pack, work


async def test_it_tells_there_what_it_tells_here(tmp_path: Path) -> None:
    """Seed, run context: inside a running task, `ctx()` returns a TaskContext."""
    wf = trouper.Workflow("seen")

    @wf.actor(name="source")
    async def source() -> AsyncIterator[int]:
        with trouper.custom_context(team="red"):
            yield 1

    wf.map(in_worker.what_it_sees_for, over="source", name="mapped", executor="process")
    wf.task(name="called", executor="process")(in_worker.what_it_sees)
    wf.task(name="block", executor="process")(in_worker.context_in_a_block)
    wf.task(name="beside", executor="thread")(in_worker.what_it_sees)
    run = trouper.RunContext(
        run_name="run-1",
        project="p",
        domain="d",
        version="v1",
        raw_data_path=str(tmp_path / "raw"),
        run_base_dir=str(tmp_path / "base"),
        custom_context={"who": "me"},
        disable_run_cache=True,
        labels={"k": "v"},
    )
    result = await wf.execute(run_context=run, config={"lr": 0.1})
    outputs = result.unwrap()
    beside = outputs["beside"]
    assert beside["action"] == trouper.ActionID(
        name="beside", run_name="run-1", project="p", domain="d"
    )
    for name in ("called", "mapped"):
        own = trouper.ActionID(name=name, run_name="run-1", project="p", domain="d")
        context = {"who": "me"} | ({"team": "red"} if name == "mapped" else {})
        assert outputs[name] == {
            **beside,
            "action": own,
            "in_a_thread": name,
            "upstreams": ("source",) if name == "mapped" else (),
            "custom_context": context,
            "get_custom_context": context,
        }
    assert outputs["block"] == {"who": "me", "block": "yes"}


async def seen_by_a_node(run: trouper.RunContext | None = None) -> bytes:
    """Return what a worker is told of the node of a graph."""
    wf = trouper.Workflow("one")
    wf.task(name="node")(lambda: pack_context())
    packed: bytes = (await wf.execute(run_context=run)).unwrap()["node"]
    return packed


REACH: dict[str, Callable[[Any], Any]] = {
    "state": lambda ctx: ctx.state,
    "deps": lambda ctx: ctx.deps,
    "inputs": lambda ctx: ctx.inputs,
    "set_result()": lambda ctx: ctx.set_result("key", 1),
    "get_result()": lambda ctx: ctx.get_result("key"),
}
SOFT: dict[str, Callable[[Any], Any]] = {
    "artifact": lambda ctx: ctx.artifact,
    "data_assets": lambda ctx: ctx.data_assets,
    "log()": lambda ctx: ctx.log("name"),
    "checkpoint()": lambda ctx: ctx.checkpoint("name", data=1),
    "checkpoints()": lambda ctx: ctx.checkpoints("name"),
    "restore()": lambda ctx: ctx.restore("name"),
    "find_asset()": lambda ctx: ctx.find_asset("name"),
    "set_active_task()": lambda ctx: ctx.set_active_task("name"),
}


def refused(context: ProcessContext, what: str, reach: Callable[[Any], Any]) -> str:
    with pytest.raises(RuntimeError) as caught:
        reach(context)
    text = str(caught.value)
    assert f"ctx().{what} can't be reached from the worker process of 'node': " in text
    assert "or leave out executor='process'" in text
    return text


async def test_what_would_be_lost_there_is_refused_with_what_to_do() -> None:
    context = read_context(await seen_by_a_node())
    texts = {what: refused(context, what, reach) for what, reach in REACH.items()}
    assert "return the value, and do it in a task behind this one" in texts["set_result()"]
    assert "hand over what is needed by a parameter" in texts["state"]
    with pytest.raises(RuntimeError, match=r"ctx\(\)\.ask\(\) can't be reached"):
        await context.ask(1, "node")
    with pytest.raises(RuntimeError, match=r"ctx\(\)\.reply\(\) can't be reached"):
        await context.reply(1)
    # Without a workspace these are None, as in any task (seed, task context).
    assert [reach(context) for reach in SOFT.values()] == [None] * len(SOFT)
    assert context.restore(default=7) == 7
    assert repr(context) == "<context of node in a worker process>"


def test_assets_are_refused_where_there_is_a_workspace(tmp_path: Path) -> None:
    wf = trouper.Workflow("one")
    wf.task(name="node")(lambda: pack_context())
    with trouper.Workspace(tmp_path / "ws") as workspace:
        run = workspace.project("p").experiment("e").run()
        context = read_context(trouper.run(wf, run=run).unwrap()["node"])
    for what, reach in SOFT.items():
        refused(context, what, reach)


async def test_each_call_has_its_own_context_and_none_is_left() -> None:
    for run_name in ("first", "second"):
        seen = await seen_by_a_node(trouper.RunContext(run_name=run_name))
        assert read_context(seen).action.run_name == run_name
        answer = work(pack(in_worker.context_here, (), {}, seen))
        assert pickle.loads(answer.body) == "<context of node in a worker process>"
        assert trouper.ctx() is None
    assert pack_context() == b""
    answer = work(pack(in_worker.context_here, (), {}))
    assert pickle.loads(answer.body) == "None"


async def test_a_task_that_is_called_there_says_where_it_is() -> None:
    answer = work(pack(in_worker.call_a_task, (), {}, await seen_by_a_node()))
    assert answer.kind == "raised"
    assert "'never_called' was called in a worker process, where no run is" in answer.text
