"""What every task sees, connected or made by hand."""

from typing import Any

import attrs
import msgspec
import pytest
import trio

import trouper
from trouper import ActionID, ActorContext, RunContext, Stopping, TaskContext
from trouper.actors._dead_letters import DeadLetters
from trouper.channels._context import message_context


def test_helpers_are_soft_without_a_workspace() -> None:
    """Seed page: `artifact`, `log`, `find_asset` and `checkpoint` are None, or return None."""
    for context in (TaskContext(), TaskContext(run_context=RunContext(run_name="r"))):
        assert context.artifact is None
        assert context.log("train") is None
        assert context.find_asset("training-data") is None
        assert context.checkpoint("model", data=1) is None


def test_a_context_made_by_hand_has_defaults_for_all() -> None:
    context = TaskContext()
    assert context.config.get("lr", 1e-3) == 1e-3
    assert (context.state, context.deps, context.inputs) == (None, None, None)
    assert (context.run_context, context.mode, context.version) == (None, "local", "")
    assert (context.raw_data_path, context.run_base_dir) == ("", "")
    assert context.custom_context == {}
    assert not context.disable_run_cache
    assert not context.is_in_cluster()
    context.set_result("loss", 1)
    assert context.get_result("loss", 7) == 7


def test_a_connected_context_reads_its_run() -> None:
    run = RunContext(
        run_name="r",
        mode="remote",
        version="v1",
        raw_data_path="s3://raw",
        run_base_dir="/base",
        custom_context={"team": "a"},
        disable_run_cache=True,
    )
    context = TaskContext(run_context=run, action=ActionID(name="train", run_name="r"))
    assert context.mode == "remote"
    assert context.is_in_cluster()
    assert (context.version, context.raw_data_path) == ("v1", "s3://raw")
    assert (context.run_base_dir, context.disable_run_cache) == ("/base", True)
    context.set_result("loss", 0.5)
    assert run.results == {"loss": 0.5}
    assert context.get_result("loss") == 0.5
    assert context.get_result("nothing") is None


def test_custom_context_is_the_runs_under_the_messages_and_fresh_each_time() -> None:
    run = RunContext(run_name="r", custom_context={"team": "a", "env": "dev"})
    context = TaskContext(run_context=run)
    token = message_context.set(trouper.MessageContext(custom_context={"team": "b"}))
    try:
        seen = context.custom_context
        assert seen == {"team": "b", "env": "dev"}
        seen["team"] = "changed"
        assert context.custom_context["team"] == "b"
    finally:
        message_context.reset(token)
    assert context.custom_context["team"] == "a"


@pytest.mark.parametrize("context", [TaskContext(), ActorContext()])
def test_nobody_can_change_a_context(context: TaskContext) -> None:
    """F4: one task can't overwrite what another sees."""
    for name in [field.name for field in attrs.fields(type(context))]:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(context, name, 1)
    with pytest.raises(AttributeError):
        context.undeclared = 1  # type: ignore[attr-defined]  # the refusal is what is tested


def test_an_action_is_named_by_itself_without_a_run() -> None:
    assert ActionID(name="a").run_name == "a"
    assert ActionID(name="a", run_name="r").run_name == "r"
    everything = ActionID("a", "r", "p", "d", "o")
    assert everything == ActionID(name="a", run_name="r", project="p", domain="d", org="o")
    with pytest.raises(AttributeError):
        ActionID(name="a").name = "b"  # type: ignore[misc]  # likewise


def test_a_runs_custom_context_is_a_read_only_view() -> None:
    run = RunContext(run_name="r", custom_context={"a": "1"})
    with pytest.raises(TypeError):
        run.custom_context["a"] = "2"  # type: ignore[index]  # likewise


async def test_ctx_is_the_argument_inside_and_none_outside() -> None:
    """DESIGN: one context object. F6: each task has its own."""
    seen: dict[str, Any] = {}
    wf = trouper.Workflow("w")

    @wf.task
    async def one(ctx: TaskContext) -> str:
        seen["one"] = trouper.ctx() is ctx
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_in_child, seen, ctx)
        return ctx.action.name

    @wf.task
    def two() -> str:
        context = trouper.ctx()
        assert context is not None
        return context.action.name

    @wf.actor(depends_on="one")
    async def three(ctx: ActorContext) -> None:
        seen["three"] = trouper.ctx() is ctx

    assert trouper.ctx() is None
    result = await wf.execute()
    assert trouper.ctx() is None
    assert result.unwrap() == {"one": "one", "two": "two"}
    assert seen == {"one": True, "three": True, "child": True}


async def _in_child(seen: dict[str, Any], ctx: object) -> None:
    seen["child"] = trouper.ctx() is ctx


# -- hand-made actor contexts --------------------------------------------------------------------


@pytest.mark.parametrize("what", ["receive", "receive_many", "send", "send_many", "async for"])
async def test_a_context_without_a_run_says_how_to_get_one(what: str) -> None:
    """Seed page: without a connected run they raise NotImplementedError."""
    context = ActorContext()
    with pytest.raises(NotImplementedError, match=r"run the actor in a Workflow") as caught:
        match what:
            case "receive":
                await context.receive()
            case "receive_many":
                await context.receive_many()
            case "send":
                await context.send(1)
            case "send_many":
                await context.send_many([1])
            case _:
                async for _message in context:
                    break
    assert what.replace("_many", "") in str(caught.value)
    assert context.message is None
    assert not context.stopping


# -- small stores --------------------------------------------------------------------------------


def test_dead_letters_keep_the_newest_and_count_all() -> None:
    store = DeadLetters(bound=2)
    envelope = trouper.Envelope(1, "a", 1)
    letters = [trouper.DeadLetter("node", envelope, str(n)) for n in range(5)]
    for letter in letters:
        store.add(letter)
    assert list(store) == letters[-2:]
    assert (len(store), store.total, store.fallen_out) == (2, 5, 3)
    with pytest.raises(AttributeError):
        letters[0].reason = "x"  # type: ignore[misc]  # it is frozen: that is tested
    with pytest.raises(AttributeError):
        envelope.payload = 2  # type: ignore[misc]  # likewise
    assert msgspec.structs.asdict(letters[0])["attempts"] == letters[0].failures == ()


def test_dead_letters_remember_the_newest_that_were_put_back() -> None:
    store = DeadLetters(bound=2)
    letters = [trouper.DeadLetter("node", trouper.Envelope(n, "a", n), "x") for n in range(3)]
    for letter in letters:
        store.add(letter)
        assert store.take(letter)
        assert not store.take(letter)
    assert [store.was_put_back(letter) for letter in letters] == [False, True, True]
    assert (len(store), store.total, store.taken, store.fallen_out) == (0, 3, 3, 0)


async def test_stopping_is_set_once_and_wakes_all() -> None:
    stopping = Stopping()
    assert not stopping
    assert not stopping.is_set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stopping.wait)
        nursery.start_soon(stopping.wait)
        await trio.testing.wait_all_tasks_blocked()
        stopping.set()
        stopping.set()
    assert stopping
    assert stopping.is_set()
    await stopping.wait()
    late = Stopping()
    late.set()
    await late.wait()
