"""What can be said of one edge, and what is refused."""

from typing import Any

import pytest

import trouper


def test_an_edge_says_nothing_by_default() -> None:
    edge = trouper.Edge()
    assert (edge.capacity, edge.overflow, edge.feedback, edge.keep_dropped) == (
        None,
        None,
        False,
        False,
    )
    assert edge == trouper.Edge()
    assert trouper.Edge.__module__ == "trouper"


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"overflow": "spill"}, ValueError, "overflow of Edge can't be 'spill'"),
        ({"capacity": -1}, ValueError, "capacity of Edge must be >= 0, got -1"),
        ({"capacity": 2.0}, TypeError, "capacity of Edge must be an int"),
        ({"capacity": 0, "overflow": "drop_newest"}, ValueError, "capacity of Edge is 0"),
        ({"capacity": 3, "feedback": True}, ValueError, "capacity=3 has no effect with"),
        ({"capacity": 3, "feedback": True, "overflow": "fail"}, ValueError, "overflow='fail'"),
    ],
)
def test_what_can_not_be_is_refused(
    given: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        trouper.Edge(**given)


def test_a_feedback_edge_may_drop() -> None:
    edge = trouper.Edge(feedback=True, capacity=3, overflow="drop_oldest", keep_dropped=True)
    assert (edge.feedback, edge.capacity, edge.keep_dropped) == (True, 3, True)
