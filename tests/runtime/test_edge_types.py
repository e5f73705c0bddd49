"""Only impossible pairs of types are refused."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trouper.runtime._edge_types import edge_problem

T = TypeVar("T")
N = TypeVar("N", bound=int)
C = TypeVar("C", int, str)
UserId = NewType("UserId", int)


class Animal: ...


class Dog(Animal): ...


class Alert: ...


class Box(Generic[T]): ...


class Saves(Protocol):
    def save(self) -> None: ...


class Row(TypedDict):
    n: int


class Pair(NamedTuple):
    n: int


class Named312:
    """Stands for `type Name = int | str` of Python 3.12."""

    __value__ = Union[int, str]  # noqa: UP007  # the old spelling


MAY_FIT = [
    (Any, int),
    (object, int),
    (Dog, Animal),
    (Animal, Dog),
    (int, float),
    (float, int),
    (bool, complex),
    (int | None, int),
    (int | None, Union[str, None]),  # noqa: UP007  # the old spelling
    (int | str, str | bytes),
    (list[int], list[str]),
    (list[int], Sequence[int]),
    (Sequence[int], list[int]),
    (Row, Mapping[str, Any]),
    (dict[str, int], Row),
    (dict[str, int], Mapping[str, str]),
    (Box[int], Box[str]),
    (Box, Box[str]),
    (Box[int], T),
    (bool, N),
    (str, C),
    (UserId, int),
    (int, UserId),
    (Annotated[int, "m"], int),
    (Literal["a", "b"], Literal["b", "c"]),
    (str, Literal["a"]),
    (Pair, tuple[int, ...]),
    (Alert, Saves),
    (str, Iterable[str]),
    (None, None),
    (None, type(None)),
    ("Unknown", int),
    (ForwardRef("Unknown"), int),
    (Named312, str),
    (Callable[[int], int], Callable[..., Any]),
    (type[int], type),
    (3, int),
    (ParamSpec("P"), int),
]

NEVER = [
    (int, str, "gives int, which is never str"),
    (Alert, Animal, "gives Alert, which is never Animal"),
    (None, int, "gives None, which is never int"),
    (int | None, str, "gives int | None, which is never str"),
    (list[int], int, "gives list[int], which is never int"),
    (Row, list[int], "gives Row, which is never list[int]"),
    (int, Mapping[str, Any], "gives int, which is never Mapping[str, Any]"),
    (Literal["a"], Literal["b"], "gives Literal['a'], which is never Literal['b']"),
    (str, N, "gives str, which is never ~N"),
    (bytes, C, "gives bytes, which is never ~C"),
    (str, UserId, "which is never "),
    (Named312, bytes, "which is never bytes"),
    (str, float, "gives str, which is never float"),
    (Alert | None, Dog, "which is never Dog"),
]


@pytest.mark.parametrize(("given_", "taken"), MAY_FIT)
def test_a_pair_that_may_fit_is_no_problem(given_: object, taken: object) -> None:
    assert edge_problem(given_, taken) is None


@pytest.mark.parametrize(("given_", "taken", "problem"), NEVER)
def test_an_impossible_pair_is_told_with_both_types(
    given_: object, taken: object, problem: str
) -> None:
    assert problem in (edge_problem(given_, taken) or "")


HINTS = st.sampled_from([each[0] for each in MAY_FIT] + [each[1] for each in NEVER])


@given(HINTS, HINTS)
def test_overlap_has_no_direction_and_never_raises(one: object, other: object) -> None:
    assert (edge_problem(one, other) is None) == (edge_problem(other, one) is None)
    assert edge_problem(one, one) is None
