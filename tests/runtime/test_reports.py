"""What a result and a look say, apart from how it came about."""

import json
from functools import partial
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts, relays, sleeps
from trouper.runtime._cli_json import json_report
from trouper.runtime._cli_report import closing_report
from trouper.runtime._settings import Harness, Settings, generate_run_name, resolve_config


def edge(**changes: Any) -> trouper.EdgeReport:
    zeros = dict.fromkeys(
        ("sent", "acknowledged", "dead_lettered", "expired", "queued", "leased", "peak"), 0
    )
    fields: dict[str, Any] = {"capacity": 64, "overflow": "block", "blocked": 0.0, **zeros}
    return trouper.EdgeReport(source="a", target="b", dropped={}, **{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "closed"),
    [
        ({}, True),
        ({"sent": 3, "acknowledged": 3}, True),
        ({"queued": 1}, False),
        ({"leased": 1}, False),
    ],
)
def test_an_edge_is_closed_when_nothing_is_under_way(changes: Any, closed: bool) -> None:
    assert edge(**changes).is_closed is closed


async def test_a_result_can_not_be_changed_and_can_be_shown() -> None:
    wf = trouper.Workflow("shown")
    wf.task(name="t")(sleeps(0, 1))
    result = await wf.execute()
    with pytest.raises(AttributeError):
        result.status = "failed"  # type: ignore[misc]  # the refusal is what is tested
    assert "status='completed'" in repr(result)
    assert result.ok


async def test_reports_can_be_written_as_json() -> None:
    """`trouper run --json`: all but the payloads and the exception."""
    wf = trouper.Workflow()
    wf.actor(name="numbers")(counts(3))
    wf.actor(name="sink", depends_on="numbers")(collects([]))
    result = await wf.execute()
    written = msgspec.json.decode(msgspec.json.encode([result.nodes, result.edges]))
    assert written[0]["numbers"]["sent"] == 3
    assert written[1][0]["acknowledged"] == 3


@pytest.mark.parametrize("fan_in", ["zip", "latest", "merge"])
async def test_conflicts_of_custom_context_are_told_of_the_node_that_joined(fan_in: Any) -> None:
    """X2: the first upstream's value wins; nobody has to guess that there was another."""
    wf = trouper.Workflow("tenants")
    for name in "ab":
        wf.actor(name=name)(relays())
    seen: list[Any] = []

    @wf.actor(depends_on=["a", "b"], fan_in=fan_in)
    async def join(ctx: trouper.ActorContext) -> None:
        await both_sent.wait()
        while True:
            await ctx.receive_many(2)  # with "merge" the batch is what is made of several
            seen.append(ctx.custom_context)

    both_sent = trio.Event()
    harness = Harness(meter=partial(trouper.OperationMeter, 1000))
    async with wf.open(harness=harness) as run:
        for name in "ab":
            await run.send(1, name, custom_context={"tenant": name, "same": "x", name: "only"})
            await wait_all_tasks_blocked()
        both_sent.set()
        result = await run.drain()
    assert {name: node.conflicts for name, node in result.nodes.items()} == {
        "a": 0,
        "b": 0,
        "join": 1,
    }
    assert seen == [{"tenant": "a", "same": "x", "a": "only", "b": "only"}]
    told = [line for line in closing_report(result) if "custom_context" in line]
    assert told == ["  join, 1 conflicting key of custom_context: the first one's value was kept"]


@pytest.mark.parametrize("more", [0, 1, 50])
async def test_dead_letters_that_fell_out_are_counted(more: int) -> None:
    """Every store names its bound and what falls out."""
    wf = trouper.Workflow("many-dead")
    n = 10_000 + more
    all_sent = trio.Event()

    @wf.actor
    async def source(ctx: trouper.ActorContext) -> None:
        await ctx.send_many(range(n + 1))
        all_sent.set()

    edge = trouper.Edge(overflow="latest", keep_dropped=True)

    @wf.actor(depends_on={"source": edge})
    async def sink(ctx: trouper.ActorContext) -> None:
        await all_sent.wait()
        async for _ in ctx:
            pass

    result = await wf.execute()
    assert len(result.dead_letters) == 10_000
    assert result.dead_letters_fallen_out == more
    assert result.dead_letters[0].envelope.payload == more
    told = {
        0: "10,000 dead letters, the last five",
        1: "10,001 dead letters, the newest 10,000 kept, the last five",
        50: "10,050 dead letters, the newest 10,000 kept, the last five",
    }
    assert told[more] in closing_report(result)
    letters = json.loads(json_report(result, 0))["dead_letters"]
    assert (letters["kept"], letters["fallen_out"]) == (10_000, more)


def test_public_classes_belong_to_trouper() -> None:
    for cls in (
        trouper.EdgeReport,
        trouper.NodeReport,
        trouper.StatusReport,
        trouper.WorkflowResult,
        trouper.RunCancelled,
        trouper.LiveRun,
        trouper.Stream,
        trouper.NodeEnded,
        trouper.Workflow,
        trouper.EmptyStream,
        trouper.TooManyItems,
    ):
        assert cls.__module__ == "trouper"


# -- settings ------------------------------------------------------------------------------------


def test_config_wins_over_the_profile_and_both_are_left_as_they_are() -> None:
    """F18"""
    profile = trouper.ProfileConfig({"lr": 0.1, "deep": {"a": 1}}, name="fast")
    assert resolve_config(profile, None) is profile
    assert resolve_config(None, None) == {}
    merged = resolve_config(profile, {"lr": 0.2})
    assert (merged.to_dict(), merged.name) == ({"lr": 0.2, "deep": {"a": 1}}, "fast")
    assert resolve_config({"a": 1}, {"b": 2}) == {"a": 1, "b": 2}
    assert profile["lr"] == 0.1


def test_run_names_sort_by_time_and_differ() -> None:
    names = {generate_run_name("flow") for _ in range(20)}
    assert len(names) > 1
    assert all(name.startswith("flow-2") for name in names)


def test_settings_have_what_an_execution_needs() -> None:
    settings = Settings(run_context=trouper.RunContext(run_name="r"))
    assert (settings.state, settings.deps, settings.is_open) == (None, None, False)
    assert settings.config == {}
    assert settings.harness == Harness()
    assert trouper.Harness.__module__ in ("trouper", "trouper.runtime._settings")


async def test_deps_state_and_config_reach_every_node() -> None:
    seen: list[Any] = []
    wf = trouper.Workflow()

    @wf.task
    async def task(ctx: trouper.TaskContext) -> None:
        seen.append((ctx.deps, ctx.state, ctx.config))

    @wf.actor
    async def actor(ctx: trouper.ActorContext) -> None:
        seen.append((ctx.deps, ctx.state, ctx.config))

    (await wf.execute(deps="d", state="s", profile_config={"a": 1}, config={"b": 2})).unwrap()
    assert seen == [("d", "s", {"a": 1, "b": 2})] * 2


def test_a_workflow_shows_its_nodes_and_graph_without_running() -> None:
    wf = trouper.Workflow("flow")
    wf.actor(name="numbers")(counts(3))
    wf.task(name="last", depends_on="numbers")(sleeps(0))
    wf.check()
    assert list(wf.nodes) == ["numbers", "last"]
    assert wf.nodes is not wf.nodes
    assert wf.to_mermaid().startswith("flowchart LR")
    wf.task(name="lost", depends_on="nobody")(sleeps(0))
    with pytest.raises(trouper.GraphError, match="nobody"):
        wf.check()
