"""Upstreams fill plain parameters by name, then by order."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trouper.runtime._arguments import plan_arguments
from trouper.runtime._signature import inspect_callable


def call(function: Callable[..., Any], **upstreams: Any) -> Any:
    """Call `function` as the runtime would; `a__b` stands for the upstream `a-b`."""
    values = {name.replace("__", "-"): value for name, value in upstreams.items()}
    plan = plan_arguments(inspect_callable(function), list(values))
    args, kwargs = plan.bind(values if len(values) > 1 else next(iter(values.values()), None))
    return function(*args, **kwargs)


def test_one_upstream_fills_the_one_required_parameter_whatever_the_names() -> None:
    assert call(lambda n: n, fetch=1) == 1
    assert call(lambda n, fetch=0: (n, fetch), fetch=1) == (1, 0)
    assert call(lambda n, /: n, fetch=1) == 1
    assert call(lambda a=0, *, n: (a, n), fetch=1) == (0, 1)


def test_one_upstream_fills_the_default_of_its_name_or_else_the_first() -> None:
    assert call(lambda n=0, fetch=0: (n, fetch), fetch=1) == (0, 1)
    assert call(lambda n=0, m=0: (n, m), fetch=1) == (1, 0)


def test_several_upstreams_fill_the_parameters_of_their_names() -> None:
    assert call(lambda b, a: (b, a), a=1, b=2) == (2, 1)
    assert call(lambda b_c, a: (b_c, a), a=1, b__c=2) == (2, 1)
    plan = plan_arguments(inspect_callable(lambda x, monitor_alerts: 0), ["monitor.alerts", "b"])
    assert plan.named == {"monitor_alerts": "monitor.alerts", "x": "b"}


def test_other_upstreams_fill_what_is_left_in_order() -> None:
    assert call(lambda x, y: (x, y), a=1, b=2) == (1, 2)
    assert call(lambda x, a: (x, a), a=1, b=2) == (2, 1)
    assert call(lambda x, y=0, z=0: (x, y, z), a=1, b=2) == (1, 2, 0)
    assert call(lambda x, /, b: (x, b), a=1, b=2) == (1, 2)


def test_starred_parameters_take_the_rest() -> None:
    assert call(lambda *all_: all_, a=1, b=2) == (1, 2)
    assert call(lambda *all_: all_, a=1) == (1,)
    assert call(lambda b, *all_: (b, all_), a=1, b=2, c=3) == (1, (2, 3))
    assert call(lambda b, **all_: (b, all_), a=1, b=2, c__d=3) == (2, {"a": 1, "c_d": 3})
    assert call(lambda **all_: all_, a=1) == {"a": 1}
    assert call(lambda *all_, **more: (all_, more), a=1) == ((1,), {})


def test_a_function_without_parameters_only_waits() -> None:
    assert call(lambda: 5, a=1, b=2) == 5
    assert call(lambda n=3: n) == 3


def test_the_plan_tells_which_type_each_upstream_has_to_be() -> None:
    def f(x: int, b: str = "") -> None: ...
    def g(*args: int) -> None: ...
    def h(**kwargs: float) -> None: ...

    def types(function: Callable[..., Any]) -> object:
        return plan_arguments(inspect_callable(function), ["a", "b"]).types

    assert types(f) == {"a": int, "b": str}
    assert types(g) == {"a": int, "b": int}
    assert types(h) == {"a": float, "b": float}


def _two(x: int, y: Any, *, z: str = "") -> None: ...
def _one(x: int, **more: int) -> None: ...
def _starred(x: int, y: int, *more: int) -> None: ...
def _named(a_b: int, c: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "upstreams", "problem"),
    [
        (_two, [], r"_two\(x: int, y, z: str = \.\.\.\) needs an input but has no upstream; name"),
        (_two, ["a"], "can't be filled from its upstreams 'a'; name its parameters after them"),
        (_two, ["a", "b", "c", "d"], "can't be filled from its upstreams 'a', 'b', 'c', 'd'"),
        (_one, ["x", "a-b", "a_b"], r"_one\(x: int, \*\*more: int\) can't be filled"),
        (_starred, ["a"], r"_starred\(x: int, y: int, \*more: int\) can't"),
        (_named, ["a-b", "a_b"], "'a_b' and 'a-b' would both fill 'a_b' of _named; rename one"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_graph_is_built(
    function: Callable[..., Any], upstreams: list[str], problem: str
) -> None:
    with pytest.raises(TypeError, match=problem):
        plan_arguments(inspect_callable(function), upstreams)


NAMES = st.sampled_from(["a", "b", "c", "d", "e"])


@given(
    required=st.lists(NAMES, unique=True, max_size=3),
    optional=st.lists(NAMES, unique=True, max_size=2),
    upstreams=st.lists(NAMES, unique=True, max_size=4),
)
def test_a_plan_uses_every_upstream_once_and_can_be_called(
    required: list[str], optional: list[str], upstreams: list[str]
) -> None:
    rest = [each for each in optional if each not in required]
    parameters = ", ".join([*required, *(f"{each}=None" for each in rest)])
    function = eval(f"lambda {parameters}: [{', '.join([*required, *rest])}]")
    try:
        plan = plan_arguments(inspect_callable(function), upstreams)
    except TypeError:
        assert len(upstreams) != len(required) or set(upstreams) & set(rest)
        return
    values = {each: each.upper() for each in upstreams}
    args, kwargs = plan.bind(values if len(values) > 1 else next(iter(values.values()), None))
    got = [each for each in function(*args, **kwargs) if each is not None]
    if parameters:
        assert sorted(got) == sorted(values.values())
