"""Random graphs: the checker agrees with a slow reference, and finds every fault put in.

The references know nothing of the checker's ways: cycles are found by trying every path, and the
deadlock at the start by letting an imaginary run go on for as long as anything can move.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.graphs import flow, work
from trouper.runtime._edge import Edge
from trouper.runtime._graph import components, find_path, make_graph, order, reach
from trouper.runtime._graph_check import check_graph
from trouper.runtime._node import Node, make_node

Edges = Mapping[str, Edge]
BACK = Edge(feedback=True)
UNTIMED = settings(deadline=None)
FEW = settings(deadline=None, max_examples=30)


@lru_cache(None)
def declare(
    name: str, is_actor: bool, overflow: str | None, depends_on: tuple[tuple[str, Edge], ...]
) -> Node:
    given = {"name": name, "depends_on": dict(depends_on)}
    given |= {} if overflow is None else {"overflow": overflow}
    return make_node(flow if is_actor else work, None, given, lambda _: None)


@attrs.frozen
class Plan:
    """A graph as a user would declare it."""

    actors: frozenset[str]
    edges: Mapping[str, Edges]
    """Node to its `depends_on`; output-less, so a key is a node."""
    overflow: Mapping[str, str] = {}

    def nodes(self) -> dict[str, Node]:
        return {
            name: declare(name, name in self.actors, self.overflow.get(name), tuple(edges.items()))
            for name, edges in self.edges.items()
        }

    def problems(self) -> list[str]:
        return check_graph(self.nodes())

    def with_edge(self, tail: str, head: str, edge: Edge) -> "Plan":
        edges = {**self.edges, head: {**self.edges[head], tail: edge}}
        return attrs.evolve(self, edges=edges)

    def pairs(self, *, forward: bool = False) -> list[tuple[str, str]]:
        return [
            (tail, head)
            for head, edges in self.edges.items()
            for tail, edge in edges.items()
            if tail in self.edges and not (forward and edge.feedback)
        ]

    def cycles(self, *, forward: bool = False) -> Iterator[tuple[str, ...]]:
        """Yield every simple cycle, from each of its nodes."""
        pairs = self.pairs(forward=forward)

        def extend(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
            for tail, head in pairs:
                if tail == path[-1] and head == path[0]:
                    yield (*path, head)
                elif tail == path[-1] and head not in path:
                    yield from extend((*path, head))

        for name in self.edges:
            yield from extend((name,))

    def loop(self, name: str) -> set[str]:
        """Return a node and all that lead to it and that it leads to."""
        leads = set(self.pairs())
        for _ in self.edges:
            leads |= {(a, d) for a, b in leads for c, d in self.pairs() if b == c}
        return {name, *(b for a, b in leads if a == name and (b, a) in leads)}


def advice(problem: str) -> tuple[str, dict[str, Edge]]:
    """Return what a problem says to write: the node, and its `depends_on`, as a user would."""
    found = re.search(r"give '(\w+)' depends_on=(\{.*?\})(?:,| or)", problem)
    assert found, problem
    trouper = type("trouper", (), {"Edge": Edge})
    return found[1], eval(found[2], {"trouper": trouper})


def follow(plan: Plan, problem: str) -> Plan:
    node, edges = advice(problem)
    assert set(edges) <= set(plan.edges[node])
    for tail, edge in edges.items():
        plan = plan.with_edge(tail, node, edge)
    return plan


# -- cycles --------------------------------------------------------------------------------------


@st.composite
def tangles(draw: st.DrawFn) -> Plan:
    """Any arrows between up to five nodes, some of them marked as feedback."""
    names = [f"n{number}" for number in range(draw(st.integers(1, 5)))]
    edge = st.sampled_from([Edge(), Edge(), BACK])
    edges = {
        name: draw(st.dictionaries(st.sampled_from(names), edge, max_size=3)) for name in names
    }
    actors = draw(st.sampled_from([frozenset(names), frozenset(names[1:])]))
    return Plan(actors, edges)


def misplaced(plan: Plan) -> set[str]:
    return {
        f"{tail!r} -> {head!r}"
        for head, edges in plan.edges.items()
        for tail, edge in edges.items()
        if edge.feedback and not {tail, head} <= plan.actors
    }


def without_misplaced(plan: Plan) -> Plan:
    edges = {
        head: {
            tail: edge
            for tail, edge in edges.items()
            if not edge.feedback or {tail, head} <= plan.actors
        }
        for head, edges in plan.edges.items()
    }
    return attrs.evolve(plan, edges=edges)


@UNTIMED
@given(tangles())
def test_feedback_is_refused_exactly_where_it_closes_no_cycle(plan: Plan) -> None:
    problems = plan.problems()
    told = {each.partition(" has feedback")[0] for each in problems if "batch task, which" in each}
    assert told == misplaced(plan)

    rest = without_misplaced(plan)
    closing = {pair for cycle in rest.cycles() for pair in pairwise(cycle)}
    idle = {
        f"{tail!r} -> {head!r}"
        for tail, head in set(rest.pairs()) - set(rest.pairs(forward=True)) - closing
    }
    assert {e.partition(" has")[0] for e in problems if "closes no cycle" in e} == idle


@UNTIMED
@given(tangles())
def test_a_cycle_is_refused_exactly_if_there_is_one(plan: Plan) -> None:
    """P19"""
    problems = plan.problems()
    rest = without_misplaced(plan)
    undeclared = [c for c in rest.cycles(forward=True) if set(c) <= plan.actors]
    through_tasks = [c for c in rest.cycles() if not set(c) <= plan.actors]
    assert any("has no feedback edge" in each for each in problems) == bool(undeclared)
    assert any("goes through the batch" in each for each in problems) == bool(through_tasks)
    for each in problems:
        shown = re.match(r"the cycle (.*?) (?:has|goes)", each)
        if shown:
            legal = through_tasks if "goes through" in each else undeclared
            assert tuple(shown[1].split(" -> ")) in legal


@UNTIMED
@given(tangles())
def test_the_advice_on_cycles_leaves_none(plan: Plan) -> None:
    """P19"""
    for problem in plan.problems():
        if "has no feedback edge" in problem:
            plan = follow(plan, problem)
    assert not [each for each in plan.problems() if "has no feedback edge" in each]


@UNTIMED
@given(tangles())
def test_paths_and_components_agree_with_trying_everything(plan: Plan) -> None:
    graph = make_graph(plan.nodes())
    arrows = graph.arrows(graph.links)
    number = components(arrows)
    for one in plan.edges:
        for other in plan.edges:
            path = find_path(arrows, one, other)
            assert (path is not None) == any(other in reach(arrows, [h]) for h in arrows[one])
            assert (number[one] == number[other]) == (other in plan.loop(one))


# -- the deadlock at the start -------------------------------------------------------------------


@st.composite
def programs(draw: st.DrawFn) -> Plan:
    """Graphs whose only possible fault is the deadlock at the start."""
    names = [f"n{number}" for number in range(draw(st.integers(1, 8)))]
    actors: set[str] = set()
    edges: dict[str, dict[str, Edge]] = {}
    overflow: dict[str, str] = {}
    edge = st.sampled_from(
        [Edge(), Edge(), Edge(overflow="block"), Edge(overflow="latest"), Edge(overflow="fail")]
    )
    for name in names:
        earlier = draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
        tails = [tail for tail in earlier if tail in edges]
        edges[name] = {tail: draw(edge) if tail in actors else Edge() for tail in tails}
        if draw(st.integers(0, 2)):
            actors.add(name)
            if draw(st.integers(0, 4)) == 0 and actors & set(tails):
                overflow[name] = "drop_oldest"
    plan = Plan(frozenset(actors), edges, overflow)
    return _with_feedback(draw, plan)


@st.composite
def waits(draw: st.DrawFn) -> Plan:
    """Graphs full of actors that wait for a batch task which waits for an actor."""
    actors = [f"a{number}" for number in range(4)]
    edges: dict[str, dict[str, Edge]] = {name: {} for name in actors}
    edge = st.sampled_from([Edge(), Edge(), Edge(), Edge(overflow="latest")])
    for number in range(draw(st.integers(2, 3))):
        streams = st.dictionaries(st.sampled_from(actors), edge, min_size=1, max_size=2)
        task, actor = f"t{number}", f"b{number}"
        edges[task] = {draw(st.sampled_from(actors)): Edge()}
        edges[actor] = {**draw(streams), task: Edge()}
        actors += [actor] if draw(st.booleans()) else []
    return Plan(frozenset(name for name in edges if not name.startswith("t")), edges)


def _with_feedback(draw: st.DrawFn, plan: Plan) -> Plan:
    """Close a loop or two among the actors, where no batch task would be in it."""
    for _ in range(draw(st.integers(0, 2))):
        tail, head = (draw(st.sampled_from(sorted(plan.edges))) for _ in range(2))
        if {tail, head} <= plan.actors and tail not in plan.edges[head]:
            closed = plan.with_edge(tail, head, BACK)
            if set(misfits(closed)) == set():
                plan = closed
    return plan


def misfits(plan: Plan) -> list[str]:
    return [each for each in plan.problems() if "would wait for" not in each]


def finishes(plan: Plan) -> bool:
    """Let a run go as far as it can, with sources that send more than any buffer holds."""
    ended: set[str] = set()
    loops = {name: plan.loop(name) for name in plan.edges}
    while True:
        started = {
            name
            for name, edges in plan.edges.items()
            if all(tail in ended for tail in edges if tail not in plan.actors)
        }
        new = {
            name
            for name in set(plan.edges) - ended
            if all(_can_end(plan, each, loops[name], started, ended) for each in loops[name])
        }
        if not new:
            return ended == set(plan.edges)
        ended |= new


def _can_end(plan: Plan, name: str, group: set[str], started: set[str], ended: set[str]) -> bool:
    fed = all(tail in ended or tail in group for tail in plan.edges[name])
    return fed and (name not in plan.actors or _moves(plan, name, started))


def _moves(plan: Plan, name: str, started: set[str]) -> bool:
    """Tell whether an actor gets rid of all it has to send."""
    return name in started and all(
        _moves(plan, head, started)
        for head, edges in plan.edges.items()
        if head in plan.actors and name in edges and _blocks(plan, head, edges[name])
    )


def _blocks(plan: Plan, head: str, edge: Edge) -> bool:
    return not edge.feedback and (edge.overflow or plan.overflow.get(head, "block")) == "block"


@UNTIMED
@given(programs() | waits())
def test_a_valid_graph_is_refused_exactly_if_its_start_could_deadlock(plan: Plan) -> None:
    problems = plan.problems()
    assert all("would wait for" in each for each in problems)
    assert bool(problems) == (not finishes(plan))


@UNTIMED
@given(programs() | waits())
def test_the_advice_on_the_start_lets_it_start(plan: Plan) -> None:
    for _ in range(20):
        problems = plan.problems()
        for problem in problems:
            plan = follow(plan, problem)
        if not problems:
            return
    raise AssertionError(plan.problems())


@UNTIMED
@given(programs())
def test_the_order_puts_upstreams_first(plan: Plan) -> None:
    names = order(make_graph(plan.nodes()))
    assert sorted(names) == sorted(plan.edges)
    assert all(names.index(tail) < names.index(head) for tail, head in plan.pairs(forward=True))


# -- injected faults -----------------------------------------------------------------------------

FAULTS: Mapping[str, tuple[str, str, Edge, str]] = {
    # what: (kind of the upstream, kind of the node, edge, what is said)
    "unknown upstream": ("none", "any", Edge(), "there is no node"),
    "unknown output": ("output", "any", Edge(), "no output 'x'|has one output without a name"),
    "capacity of a value": ("task", "any", Edge(capacity=3), "capacity has no effect"),
    "overflow of a value": ("task", "any", Edge(overflow="fail"), "overflow has no effect"),
    "keeps what blocks": (
        "actor",
        "any",
        Edge(keep_dropped=True, overflow="block"),
        "keep_dropped",
    ),
    "feedback of a value": ("task", "any", BACK, "is a batch task, which runs once"),
    "feedback to a task": ("any", "task", BACK, "is a batch task, which runs once"),
    "a node reads itself": ("self", "any", Edge(), "the cycle "),
}


@pytest.mark.parametrize("fault", FAULTS)
@FEW
@given(plan=programs(), data=st.data())
def test_every_fault_put_into_a_valid_graph_is_found(
    fault: str, plan: Plan, data: st.DataObject
) -> None:
    """P19"""
    assume(not plan.problems())
    tail_kind, head_kind, edge, said = FAULTS[fault]
    names = sorted(plan.edges)
    heads = [n for n in names if head_kind == "any" or n not in plan.actors]
    assume(heads)
    head = data.draw(st.sampled_from(heads))
    tails = {
        "none": ["nobody"],
        "output": [f"{name}.x" for name in names],
        "self": [head],
        "any": names,
        "task": [name for name in names if name not in plan.actors],
        "actor": [name for name in names if name in plan.actors],
    }[tail_kind]
    assume(tails)
    tail = data.draw(st.sampled_from(tails))
    problems = plan.with_edge(tail, head, edge).problems()
    about = [each for each in problems if re.search(said, each)]
    assert any(repr(head) in each and tail.partition(".")[0] in each for each in about)


@UNTIMED
@given(programs(), st.data())
def test_an_edge_back_is_a_cycle_until_it_is_declared(plan: Plan, data: st.DataObject) -> None:
    """P19"""
    assume(not plan.problems())
    ways = [
        (tail, head)
        for tail, head in plan.pairs(forward=True)
        if {tail, head} <= plan.actors and head not in plan.edges[tail]
    ]
    assume(ways)
    tail, head = data.draw(st.sampled_from(ways))
    broken = plan.with_edge(head, tail, Edge())
    found = [each for each in broken.problems() if "has no feedback edge" in each]
    assert found
    declared = plan.with_edge(head, tail, BACK).problems()
    assert not [each for each in declared if "feedback" in each]
