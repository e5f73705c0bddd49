"""Options of groups and of their members, as the workflow takes and refuses them; and drawings."""

from itertools import product
from typing import Any

import pytest

import trouper


async def body(ctx: trouper.ActorContext) -> None: ...


AUTOS = ("never", "any_significant", "all_significant")
RESTARTS = ("permanent", "transient", "temporary")


@pytest.mark.parametrize(
    ("auto", "restart", "significant", "grouped"),
    list(product(AUTOS, RESTARTS, (False, True), (False, True))),
)
def test_significance_is_refused_exactly_where_it_means_nothing(
    auto: Any, restart: Any, significant: bool, grouped: bool
) -> None:
    """S13: significant and permanent, or where nothing shuts down by itself; all else is taken."""
    wf = trouper.Workflow()
    group: Any = wf.group("g", auto_shutdown=auto) if grouped else wf
    means_nothing = significant and (restart == "permanent" or not grouped or auto == "never")
    if means_nothing:
        with pytest.raises(ValueError, match="significant"):
            group.add(body, name="n", restart=restart, significant=significant)
        assert not wf.nodes
        return
    group.actor(name="n", restart=restart, significant=significant)(body)
    assert wf.nodes["n"].options.significant == significant


def test_a_group_that_can_never_shut_down_by_itself_is_named_by_the_check() -> None:
    """S13."""
    wf = trouper.Workflow()
    wf.group("g", auto_shutdown="any_significant").actor(body)
    with pytest.raises(trouper.GraphError, match="but no significant member"):
        wf.check()


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        (
            {"strategy": "all"},
            ValueError,
            "group 'g': strategy can't be 'all'; choose one of: one",
        ),
        ({"max_restarts": -1}, ValueError, "group 'g': max_restarts must be an int >= 0, got -1"),
        ({"colour": 1}, TypeError, "group 'g' has no option 'colour'; known: 'auto_shutdown', 'm"),
        ({"stratgy": "one_for_all"}, TypeError, "no option 'stratgy'; did you mean 'strategy'?"),
        ({"restart": "temporary"}, ValueError, "has an effect only inside another group"),
        ({"significant": True}, ValueError, "significant=True has an effect only inside a group"),
    ],
)
def test_a_bad_option_is_refused_where_it_is_given(
    options: Any, kind: type[Exception], text: str
) -> None:
    """S13."""
    wf = trouper.Workflow()
    with pytest.raises(kind) as caught:
        wf.group("g", **options)
    assert text in str(caught.value)
    assert not wf.groups


def test_what_means_nothing_at_the_top_is_taken_inside() -> None:
    """S13."""
    wf = trouper.Workflow()
    outer = wf.group("outer", auto_shutdown="all_significant")
    inner = outer.group("inner", restart="temporary", significant=True)
    inner.task(body)
    wf.check()
    assert wf.groups["inner"].parent is outer
    with pytest.raises(ValueError, match="inside a group with auto_shutdown"):
        inner.group("deep", significant=True)


def test_names_are_taken_once() -> None:
    """S13, F16: among nodes and groups together."""
    wf = trouper.Workflow()
    group = wf.group("one")
    group.task(name="two")(body)
    with pytest.raises(ValueError, match="already has a group 'one'"):
        wf.group("one")
    with pytest.raises(ValueError, match="already has a node 'two'"):
        group.group("two")
    with pytest.raises(ValueError, match="already has a group 'one'"):
        wf.task(name="one")(body)
    with pytest.raises(ValueError, match="'a b' is no group name"):
        wf.group("a b")
    assert list(wf.groups) == ["one"]
    assert group.members == ["two"]


def test_groups_are_drawn_as_subgraphs_in_each_other() -> None:
    wf = trouper.Workflow()
    wf.actor(name="before")(body)
    outer = wf.group("outer", strategy="one_for_all")
    outer.actor(name="a", depends_on="before")(body)
    inner = outer.group("inner")
    inner.actor(name="b", depends_on="a")(body)
    wf.actor(name="after", depends_on="b")(body)
    lines = wf.to_mermaid().splitlines()
    assert lines[:8] == [
        "flowchart LR",
        '    subgraph g0["outer: one_for_all"]',
        '        n1("a")',
        '        subgraph g1["inner: one_for_one"]',
        '            n2("b")',
        "        end",
        "    end",
        '    n0("before")',
    ]
