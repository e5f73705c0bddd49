"""A workflow as a node of another one: names, edges, what it inherits, and what is refused."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.bodies import collects, counts, relays
from trouper import Edge, Partition, Workflow


def pipeline(name: str = "clean") -> Workflow:
    """Return a workflow of two actors: what comes in goes out, as a text, squared."""
    wf = Workflow(name)

    @wf.actor
    async def square(ctx: trouper.ActorContext[None, None, int, int]) -> Any:
        async for n in ctx:
            yield n * n

    @wf.actor(depends_on="square")
    async def text(ctx: trouper.ActorContext[None, None, int, str]) -> Any:
        async for n in ctx:
            yield str(n)

    return wf


async def test_its_sources_take_the_outer_input_and_its_sinks_are_its_output() -> None:
    got: list[str] = []
    wf = Workflow("outer")
    wf.actor(name="numbers")(counts(5))
    wf.add(pipeline(), depends_on="numbers")
    wf.actor(name="sink", depends_on="clean")(collects(got))
    result = await wf.execute()
    assert result.ok
    assert got == ["0", "1", "4", "9", "16"]
    assert list(result.nodes) == ["numbers", "clean/square", "clean/text", "sink"]
    assert result.outputs["clean/text"] == "16"
    assert [(edge.source, edge.target, edge.sent) for edge in result.edges] == [
        ("numbers", "clean/square", 5),
        ("clean/square", "clean/text", 5),
        ("clean/text", "sink", 5),
    ]


async def test_the_same_workflow_may_be_several_nodes_and_run_by_itself() -> None:
    inner = pipeline()
    got: list[str] = []
    wf = Workflow("outer")
    wf.actor(name="numbers")(counts(4))
    wf.add(inner, name="one", depends_on="numbers")
    wf.add(inner, name="two", depends_on="numbers")

    @wf.actor(depends_on=["one", "two"])
    async def sink(ctx: trouper.ActorContext[None, None, Any, None]) -> None:
        async for message in ctx:
            got.extend(f"{key}:{value}" for key, value in message.items())

    assert (await wf.execute()).ok
    assert sorted(got) == sorted(f"{key}:{n * n}" for key in ("one", "two") for n in range(4))
    async with inner.open() as run, run.stream("text") as texts:
        await run.send(3)
        assert await anext(texts) == "9"


async def test_it_may_be_declared_after_what_depends_on_it_and_named_by_itself() -> None:
    got: list[str] = []
    inner = pipeline()
    wf = Workflow("outer")
    wf.actor(name="sink", depends_on="late")(collects(got))
    wf.actor(name="numbers")(counts(2))
    wf.add(inner, name="late", depends_on=["numbers"])
    wf.actor(name="other", depends_on=[inner])(collects(got))
    assert (await wf.execute()).ok
    assert sorted(got) == ["0", "0", "1", "1"]


async def test_any_of_its_nodes_and_outputs_may_be_read() -> None:
    inner = Workflow("inner")

    @inner.actor(outputs={"odd": int})
    async def split(ctx: trouper.ActorContext[None, None, int, int]) -> None:
        async for n in ctx:
            await ctx.send(n, to="odd" if n % 2 else None)

    inner.actor(name="end", depends_on="split")(relays())
    got: dict[str, list[int]] = {"odd": [], "split": [], "full": []}
    wf = Workflow("outer")
    wf.actor(name="numbers")(counts(6))
    wf.add(inner, depends_on="numbers")
    wf.actor(name="a", depends_on="inner.split.odd")(collects(got["odd"]))
    wf.actor(name="b", depends_on="inner.split")(collects(got["split"]))
    wf.actor(name="c", depends_on="inner/split.odd")(collects(got["full"]))
    assert (await wf.execute()).ok
    assert got == {"odd": [1, 3, 5], "split": [0, 2, 4], "full": [1, 3, 5]}


async def test_several_sinks_come_under_their_own_names() -> None:
    inner = Workflow("inner")
    inner.actor(name="double")(relays())
    inner.actor(name="triple")(relays())
    keys: list[str] = []
    wf = Workflow("outer")
    wf.actor(name="numbers")(counts(2))
    wf.add(inner, depends_on={"numbers": Edge(capacity=1)})

    @wf.actor(depends_on="inner")
    async def sink(ctx: trouper.ActorContext[None, None, Any, None]) -> None:
        async for message in ctx:
            keys.extend(message)

    result = await wf.execute()
    assert sorted(keys) == ["inner.double"] * 2 + ["inner.triple"] * 2
    assert [edge.capacity for edge in result.edges if edge.source == "numbers"] == [1, 1]


async def test_batch_tasks_inside_keep_their_parameters() -> None:
    inner = Workflow("inner")

    @inner.task
    async def first(n: int = 1) -> int:
        return n + 1

    @inner.task
    async def second(n: int = 1) -> int:
        return n * 10

    @inner.task(depends_on=["first", "second"])
    async def both(second: int, first: int) -> tuple[int, int]:
        return first, second

    assert (await inner.execute()).unwrap()["both"] == (2, 10)
    wf = Workflow("outer")

    @wf.task
    async def five() -> int:
        return 5

    wf.add(inner, depends_on=five)

    @wf.task(depends_on="inner")
    async def end(pair: tuple[int, int]) -> int:
        return sum(pair)

    assert (await wf.execute()).unwrap()["end"] == 56


async def test_it_shares_state_dependencies_and_configuration() -> None:
    inner = Workflow("inner")

    @inner.task
    async def look(ctx: trouper.TaskContext[Any, Any, Any]) -> Any:
        return ctx.state, ctx.deps, ctx.config["key"], ctx.action.name

    wf = Workflow("outer")
    wf.add(inner)
    outputs = (await wf.execute(state="s", deps="d", config={"key": "c"})).unwrap()
    assert outputs["inner/look"] == ("s", "d", "c", "inner/look")


async def test_workflows_may_be_nested_deeply() -> None:
    got: list[str] = []
    middle = Workflow("middle")
    middle.add(pipeline("deep"))
    middle.actor(name="last", depends_on="deep")(relays())
    wf = Workflow("outer")
    wf.actor(name="numbers")(counts(3))
    wf.add(middle, depends_on="numbers")
    wf.actor(name="sink", depends_on=["middle", "middle.deep", "middle.deep.square"])(collects(got))
    result = await wf.execute()
    assert result.ok
    inside = ["middle/deep/square", "middle/deep/text", "middle/last"]
    assert list(result.nodes) == ["numbers", *inside, "sink"]
    assert len(got) == 9


async def test_a_cycle_inside_ends() -> None:
    """P19"""
    done: list[int] = []
    inner = Workflow("inner")

    @inner.actor
    async def entry(ctx: trouper.ActorContext[None, None, int, int]) -> Any:
        async for n in ctx:
            yield n

    @inner.actor(depends_on={"entry": Edge(), "step": Edge(feedback=True)})
    async def step(ctx: trouper.ActorContext[None, None, Any, int]) -> None:
        async for message in ctx:
            [n] = message.values()
            done.append(n)
            if n > 1:
                await ctx.send(n // 2)

    wf = Workflow("outer")
    wf.actor(name="numbers")(counts(9))
    wf.add(inner, depends_on="numbers")
    with trio.fail_after(60):
        assert (await wf.execute()).ok
    assert sorted(done) == sorted(x for n in range(9) for x in halves(n))


def halves(n: int) -> list[int]:
    return [n] if n <= 1 else [n, *halves(n // 2)]


async def test_a_partition_inside_knows_its_neighbours_by_their_own_names() -> None:
    got: dict[str, list[int]] = {"even": [], "odd": []}
    inner = Workflow("inner")
    parity = Partition(to=lambda n: "odd" if n % 2 else "even")
    inner.actor(name="deal", fan_out=parity)(relays())
    for name, into in got.items():
        inner.actor(name=name, depends_on="deal")(collects(into))
    wf = Workflow("outer")
    wf.actor(name="numbers")(counts(6))
    wf.add(inner, depends_on="numbers")
    assert (await wf.execute()).ok
    assert got == {"even": [0, 2, 4], "odd": [1, 3, 5]}


async def test_a_map_may_go_over_it() -> None:
    wf = Workflow("outer")
    inner = Workflow("inner")
    inner.task(name="numbers")(lambda: [1, 2])
    wf.add(inner)

    async def double(n: int) -> int:
        return 2 * n

    wf.map(double, over="inner")
    assert (await wf.execute()).unwrap()["double"] == [2, 4]


async def test_its_groups_come_along() -> None:
    """S7: they stop and start together, under the outer names."""
    inner = Workflow("inner")
    around = inner.group("around", strategy="one_for_all", max_restarts=3)
    starts: list[str] = []

    @around.actor(backoff=trouper.Backoff(min=0))
    async def flaky(ctx: trouper.ActorContext) -> None:
        starts.append(ctx.action.name)
        if len(starts) < 3:
            raise OSError("flaky")

    within = around.group("within")

    @within.actor
    async def steady(ctx: trouper.ActorContext) -> None:
        starts.append(ctx.action.name)
        await ctx.stopping.wait()

    wf = Workflow("outer")
    wf.group("all").add(inner)
    assert list(wf.groups) == ["all", "inner/around", "inner/within"]
    assert wf.groups["inner/within"].parent is wf.groups["inner/around"]
    assert wf.groups["inner/around"].parent is wf.groups["all"]
    async with wf.open() as run:
        await wait_all_tasks_blocked()
        assert run.status().nodes["inner/steady"].state == "running"
    assert (await run.wait()).ok
    assert starts.count("inner/flaky") >= 2


async def test_its_nodes_may_be_members_of_a_group() -> None:
    wf = Workflow("outer")
    group = wf.group("group")
    group.add(pipeline())
    assert group.members == ["clean/square", "clean/text"]
    async with wf.open() as run:
        await run.send(3, to="clean/square")
    assert (await run.wait()).outputs["clean/text"] == "9"


# -- what is refused, and drawn --------------------------------------------------------------


def test_what_has_no_place_is_refused() -> None:
    wf = Workflow("outer")
    wf.actor(name="numbers")(counts(1))
    wf.add(pipeline(), depends_on="numbers")
    with pytest.raises(ValueError, match="'outer' already has a node 'clean'; give one of the two"):
        wf.add(pipeline())
    with pytest.raises(ValueError, match="'outer' already has a node 'clean'"):
        wf.actor(name="clean")(counts(1))
    with pytest.raises(TypeError, match="'x' is a workflow, which takes name and depends_on only;"):
        wf.add(pipeline(), name="x", capacity=3)
    with pytest.raises(ValueError, match="the workflow 'empty' has no nodes yet: add them first"):
        wf.add(Workflow("empty"))
    with pytest.raises(ValueError, match="the workflow 'outer' can't be a node of itself"):
        wf.add(wf, name="again")
    loop = Workflow("loop")
    loop.actor(name="a", depends_on={"a": Edge(feedback=True)})(relays())
    with pytest.raises(ValueError, match="'loop' has no node without upstreams, which would take"):
        wf.add(loop, depends_on="numbers")


def test_a_workflow_that_is_a_node_takes_no_more_nodes() -> None:
    inner = pipeline()
    Workflow("outer").add(inner)
    with pytest.raises(
        ValueError, match="'clean' is a node of 'outer' already, which would not he"
    ):
        inner.actor(name="more")(counts(1))


@pytest.mark.parametrize(
    ("upstream", "text"),
    [
        (
            "clean.txt",
            "'sink' depends on 'clean.txt', but there is no node 'clean/txt'; did you mea",
        ),
        ("clean.text.x", "but 'clean/text' has no output 'x'"),
        ("cleam", "there is no node 'cleam'"),
    ],
)
def test_unknown_names_are_told(upstream: str, text: str) -> None:
    wf = Workflow("outer")
    wf.add(pipeline())
    wf.actor(name="sink", depends_on=upstream)(relays())
    with pytest.raises(trouper.GraphError, match=text):
        wf.check()


def test_types_are_checked_across_the_border() -> None:
    wf = Workflow("outer")
    wf.add(pipeline())

    @wf.actor(depends_on="clean")
    async def sink(ctx: trouper.ActorContext[None, None, int, None]) -> None: ...

    with pytest.raises(trouper.GraphError, match="'clean' gives str, which is never int, that 's"):
        wf.check()


def test_it_is_drawn_as_a_subgraph() -> None:
    inner = pipeline()
    inner.group("both").actor(name="side")(counts(1))
    middle = Workflow("middle")
    middle.add(inner)
    wf = Workflow("outer")
    wf.actor(name="numbers")(counts(1))
    wf.add(middle, depends_on="numbers")
    assert wf.to_mermaid().splitlines()[1:13] == [
        '    n0("numbers")',
        '    subgraph w0["middle"]',
        '        subgraph w1["clean"]',
        '            subgraph g0["both: one_for_one"]',
        '                n3("side")',
        "            end",
        '            n1("square")',
        '            n2("text")',
        "        end",
        "    end",
        "    n0 --> n1",
        "    n1 --> n2",
    ]
