"""Every fault of a graph is named with its nodes and its fix; nothing else is refused."""

import math
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from harness.graphs import actor, check, only, task
from trouper.runtime._edge import Edge
from trouper.runtime._graph import lane_settings, make_graph, order
from trouper.runtime._graph_check import GraphError, ensure_graph

DROPS = Edge(overflow="drop_oldest")
BACK = Edge(feedback=True)


# -- the error -----------------------------------------------------------------------------------


def test_one_problem_is_the_whole_message() -> None:
    with pytest.raises(GraphError) as caught:
        ensure_graph({})
    assert str(caught.value) == (
        "the workflow has no nodes; add one with @wf.task, @wf.actor or wf.add(...)"
    )
    assert caught.value.problems == (str(caught.value),)
    assert GraphError.__module__ == "trouper"


def test_several_problems_stand_on_a_line_each() -> None:
    with pytest.raises(GraphError) as caught:
        ensure_graph({"a": task("a", ["x", "y"])})
    first, *lines = str(caught.value).splitlines()
    assert first == "the graph has 2 problems:"
    assert lines == [f"- {problem}" for problem in caught.value.problems]
    assert pickle.loads(pickle.dumps(GraphError(["a", "b"]))).problems == ("a", "b")


def test_a_graph_without_a_problem_raises_nothing() -> None:
    ensure_graph({"a": task("a")})


# -- names ---------------------------------------------------------------------------------------


def test_an_unknown_upstream_is_named_with_what_it_may_have_meant() -> None:
    """F5, F20"""
    assert only(task("fetch"), task("b", "fetsch")) == (
        "'b' depends on 'fetsch', but there is no node 'fetsch'; did you mean 'fetch'?"
    )


def test_an_unknown_output_is_named_with_those_that_are_declared() -> None:
    monitor = actor("monitor", outputs={"alerts": int, "ticks": int})
    assert only(monitor, actor("b", "monitor.alert")) == (
        "'b' depends on 'monitor.alert', but 'monitor' has no output 'alert'; "
        "it has: 'alerts', 'ticks'"
    )
    assert only(actor("a"), actor("b", "a.x")) == (
        "'b' depends on 'a.x', but 'a' has no output 'x'; "
        "declare outputs={'x': ...} there, or depend on 'a'"
    )
    assert "has no output ''" in only(actor("a"), actor("b", "a."))


def test_a_batch_task_has_no_named_output() -> None:
    assert only(task("a"), task("b", "a.x")) == (
        "'b' depends on 'a.x', but 'a' is a batch task, which has one output without a name; "
        "depend on 'a'"
    )


def test_named_outputs_may_be_read_beside_the_default_one_or_not_at_all() -> None:
    outputs = {"x": int, "y": int}
    assert check(actor("a", outputs=outputs), actor("b", ["a", "a.x"])) == []


# -- cycles --------------------------------------------------------------------------------------


def test_a_cycle_without_feedback_is_named_whole_with_the_edge_to_declare() -> None:
    """P19"""
    assert only(actor("a", "b"), actor("b", "a")) == (
        "the cycle a -> b -> a has no feedback edge, so its actors could wait for each other for "
        "ever; give 'a' depends_on={\"b\": trouper.Edge(feedback=True)}, or take 'b' out of it"
    )
    assert "the cycle a -> a " in only(actor("a", "a"))


def test_a_loop_that_merges_and_broadcasts_is_refused_even_if_an_edge_drops() -> None:
    """P19: what would live by luck is declared with feedback=True."""
    loop = actor("loop", {"merge": DROPS})
    problem = only(loop, actor("merge", ["source", "loop"]), actor("source"))
    assert problem.startswith("the cycle merge -> loop -> merge ")
    assert "give 'merge' depends_on={\"loop\": trouper.Edge(feedback=True)}" in problem
    merge = actor("merge", {"source": Edge(), "loop": BACK})
    assert check(actor("source"), actor("loop", "merge"), merge) == []


def test_a_loop_that_zips_is_refused_because_it_needs_a_first_element() -> None:
    """P19"""
    for fan_in in ("zip", "latest"):
        merge = actor("merge", {"source": Edge(), "loop": BACK}, fan_in=fan_in)
        assert only(actor("source"), actor("loop", "merge"), merge) == (
            f"fan_in='{fan_in}' of 'merge' would wait for the feedback edge 'loop' -> 'merge' "
            "before there is anything to feed back; use fan_in='merge'"
        )


def test_every_edge_that_closes_a_cycle_is_named() -> None:
    nodes = actor("a", ["c", "c.x", "b"]), actor("b", "a"), actor("c", "b", outputs={"x": int})
    inner, outer = sorted(check(*nodes), key=len)
    assert "the cycle a -> b -> a " in inner
    assert '{"c": trouper.Edge(feedback=True), "c.x": trouper.Edge(feedback=True)}' in outer


def test_an_edge_that_is_declared_already_is_not_advised_again() -> None:
    """P19"""
    first = actor("a", {"b": Edge(), "b.x": BACK})
    assert 'depends_on={"b": trouper' in only(first, actor("b", "a", outputs={"x": int}))
    assert '"b.x"' not in only(first, actor("b", "a", outputs={"x": int}))


def test_a_long_cycle_is_shortened_in_the_middle() -> None:
    nodes = [actor(f"n{i}", f"n{(i - 1) % 5000}") for i in range(5000)]
    shown = "n0 -> n1 -> n2 -> n3 -> n4 -> n5 -> (4989 more) -> n4995 -> n4996"
    assert f"the cycle {shown}" in only(*nodes)


def test_feedback_that_closes_no_cycle_is_refused() -> None:
    assert only(actor("a"), actor("b", {"a": BACK})) == (
        "'a' -> 'b' has feedback=True but closes no cycle, because nothing leads from 'b' back to "
        "'a'; leave feedback out"
    )


def test_feedback_takes_no_batch_task() -> None:
    expected = (
        "has feedback=True, but 't' is a batch task, which runs once and takes part in no cycle; "
        "leave feedback out, or make 't' an actor"
    )
    assert only(task("t", "a"), actor("a", {"t": BACK})) == f"'t' -> 'a' {expected}"
    assert only(actor("a", "t"), task("t", {"a": BACK})) == f"'a' -> 't' {expected}"


def test_a_cycle_through_a_batch_task_is_refused_with_feedback_or_without() -> None:
    assert only(task("a", "b"), task("b", "a")) == (
        "the cycle a -> b -> a goes through the batch task 'a', which starts only when all of its "
        "upstreams have ended; take 'b' out of its depends_on, or make every node of the cycle an "
        "actor"
    )
    problem = only(actor("a", {"b": BACK}), task("t", "a"), actor("b", "t"))
    assert "the cycle t -> b -> a -> t goes through the batch task 't'" in problem


# -- the deadlock at the start -------------------------------------------------------------------


def test_an_actor_that_waits_for_the_end_of_its_own_stream_is_refused() -> None:
    nodes = actor("samples"), task("mean", "samples"), actor("judge", ["mean", "samples"])
    assert only(*nodes) == (
        "'judge' would wait for itself: it starts when 'mean' is done, 'mean' waits for the end of "
        "'samples', and 'samples' waits for 'judge' to read (samples -> judge); give 'judge' "
        'depends_on={"samples": trouper.Edge(overflow="drop_oldest")} or another overflow that '
        "never blocks, or split 'judge' in two, one that depends on 'mean' and one on 'samples'"
    )


def test_the_wait_may_lead_over_other_nodes() -> None:
    nodes = [
        actor("s"),
        actor("left", "s"),
        task("early", "s"),
        task("late", ["early", "left"]),
        actor("right", "s"),
        actor("end", ["late", "right"]),
    ]
    problem = only(*nodes)
    assert "'late' waits for the end of 's', and 's' waits for 'end'" in problem
    assert "(s -> right -> end)" in problem


@pytest.mark.parametrize(
    ("edge", "options"),
    [
        (Edge(overflow="drop_newest"), {}),
        (Edge(overflow="latest"), {"overflow": "block"}),
        (Edge(overflow="fail"), {}),
        (Edge(capacity=math.inf), {}),
        (Edge(), {"overflow": "drop_oldest"}),
        (Edge(), {"capacity": math.inf}),
    ],
)
def test_an_edge_that_never_blocks_lets_it_start(edge: Edge, options: Mapping[str, Any]) -> None:
    end = actor("end", {"t": Edge(), "s": edge}, **options)
    assert check(actor("s"), task("t", "s"), end) == []
    middle = actor("m", {"s": edge}, **options)
    assert check(actor("s"), task("t", "s"), middle, actor("end", ["t", "m"])) == []


def test_the_edge_decides_over_the_node() -> None:
    end = actor("end", {"t": Edge(), "s": Edge(overflow="block")}, overflow="drop_oldest")
    assert "'end' would wait for itself" in only(actor("s"), task("t", "s"), end)


def test_a_batch_task_between_does_not_block_the_stream() -> None:
    nodes = actor("s"), task("t", "s"), task("u", "s"), actor("end", ["t", "u"])
    assert check(*nodes) == []


def test_actors_that_wait_for_each_other_are_refused() -> None:
    nodes = [
        actor("a"),
        actor("b"),
        task("a_done", "a"),
        task("b_done", "b"),
        actor("one", ["b_done", "a"]),
        actor("two", ["a_done", "b"]),
    ]
    assert only(*nodes) == (
        "'one', 'two' would wait for each other: 'one' starts when 'b_done' is done, 'b_done' "
        "waits for the end of 'b', and 'b' waits for 'two' to read; 'two' starts when 'a_done' is "
        "done, 'a_done' waits for the end of 'a', and 'a' waits for 'one' to read; give 'two' "
        'depends_on={"b": trouper.Edge(overflow="drop_oldest")} or another overflow that never '
        "blocks"
    )


def test_the_way_out_of_a_mutual_wait_names_the_last_edge_of_the_way() -> None:
    nodes = [
        *(actor("a"), actor("b"), actor("relay", "b")),
        *(task("a_done", "a"), task("b_done", "b")),
        *(actor("one", ["b_done", "a"]), actor("two", ["a_done", "relay"])),
    ]
    assert "give 'two' depends_on={\"relay\": trouper.Edge(" in only(*nodes)


# -- settings ------------------------------------------------------------------------------------


def test_what_collects_needs_a_stream() -> None:
    """F17"""
    why = "because none of its upstreams is an actor whose stream could be collected"
    batch = task("b", "a", collect="all", max_items=3)
    assert only(task("a"), batch) == (
        f"collect and max_items have no effect on 'b', {why}; leave them out"
    )
    assert only(task("a", default=0)) == f"default has no effect on 'a', {why}; leave it out"
    assert check(actor("a"), batch) == []


def test_joining_needs_two_streams() -> None:
    assert only(actor("a"), task("t"), actor("b", ["a", "t"], fan_in="zip")) == (
        "fan_in='zip' has no effect on 'b': it joins several streams, and 'b' has only 'a'; leave "
        "it out, or add a stream to depends_on"
    )
    assert "and 'b' has none; leave" in only(actor("b", fan_in="latest"))
    assert check(actor("a"), actor("b", "a", fan_in="merge")) == []


def test_batch_values_may_stand_beside_joined_streams() -> None:
    nodes = task("t"), actor("a"), actor("b"), actor("c", ["t", "a", "b"], fan_in="zip")
    assert check(*nodes) == []


def test_a_buffer_needs_a_stream_or_nothing_upstream_at_all() -> None:
    assert only(task("t"), actor("a", "t", capacity=3, overflow="fail")) == (
        "capacity and overflow have no effect on 'a', because none of its upstreams is a stream; "
        "leave them out"
    )
    assert check(actor("a", capacity=3, overflow="fail")) == []
    assert check(actor("a"), actor("b", "a", capacity=3)) == []


def test_the_edge_of_a_batch_task_has_no_settings() -> None:
    assert only(task("t"), task("b", {"t": Edge(capacity=3)})) == (
        "capacity has no effect on 't' -> 'b', because 't' is a batch task and hands over one "
        "value; leave it out"
    )
    edge = Edge(overflow="latest", keep_dropped=True)
    assert "overflow and keep_dropped have no effect" in only(task("t"), actor("b", {"t": edge}))


def test_only_what_is_dropped_can_be_kept() -> None:
    keep = Edge(keep_dropped=True)
    assert only(actor("a"), actor("b", {"a": keep})) == (
        "keep_dropped has no effect on 'a' -> 'b', because overflow='block' drops nothing; leave "
        "it out, or choose an overflow that drops"
    )
    assert "overflow='fail' drops" in only(actor("a"), actor("b", {"a": keep}, overflow="fail"))
    assert check(actor("a"), actor("b", {"a": keep}, overflow="latest")) == []
    assert len(check(actor("a"), actor("b", {"a": keep}, fan_in="latest"))) == 2
    both = {"a": keep, "b": Edge()}
    assert check(actor("a"), actor("b"), actor("c", both, fan_in="latest")) == []


def test_a_feedback_edge_has_no_bound_to_fail_at() -> None:
    loop = actor("a", {"a": Edge(feedback=True, overflow="fail")})
    assert "overflow='fail' has no effect on 'a' -> 'a'" in only(loop)
    assert check(actor("a", {"a": BACK}, overflow="fail")) == []
    assert check(actor("a", {"a": Edge(feedback=True, overflow="latest")}, capacity=0)) == []


def test_a_feedback_edge_has_no_bound_unless_it_drops() -> None:
    for overflow in ("block", "fail"):
        assert lane_settings(actor("a", overflow=overflow), BACK) == (math.inf, "block")
    assert lane_settings(actor("a", overflow="drop_oldest"), BACK) == (64, "drop_oldest")
    assert lane_settings(actor("a", capacity=3), Edge()) == (3, "block")
    assert lane_settings(actor("a"), Edge(capacity=5, overflow="fail")) == (5, "fail")


def test_capacity_and_overflow_of_node_and_edge_must_fit_together() -> None:
    expected = "capacity of 'a' -> 'b' is 0, so there is no buffer for overflow='drop_oldest'"
    assert expected in only(actor("a"), actor("b", {"a": DROPS}, capacity=0))
    edge = Edge(capacity=0)
    assert expected in only(actor("a"), actor("b", {"a": edge}, overflow="drop_oldest"))


# -- large graphs --------------------------------------------------------------------------------


def test_each_node_comes_after_its_upstreams() -> None:
    nodes = [actor("c", ["a", "b"]), actor("b", "a"), actor("a", {"c": BACK}), task("d")]
    assert order(make_graph({node.name: node for node in nodes})) == ["a", "b", "c", "d"]


def test_thousands_of_nodes_are_checked_without_recursion() -> None:
    chain = [actor("n0"), *(actor(f"n{i}", f"n{i - 1}") for i in range(1, 3000))]
    assert check(*chain, task("t", "n2999")) == []
