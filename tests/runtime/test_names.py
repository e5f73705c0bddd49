"""Node names: inferred, checked, suggested."""

import functools
from collections.abc import Callable
from typing import Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trouper.runtime._names import check_name, infer_name, suggest

T = TypeVar("T")


class FetchTask: ...


class HTTPFetchActor: ...


class LoadV2Data: ...


class Actor: ...


class Box(Generic[T]): ...


class _PrivateTask: ...


def fetch_task() -> None: ...


@pytest.mark.parametrize(
    ("obj", "name"),
    [
        (FetchTask, "fetch"),
        (FetchTask(), "fetch"),
        (HTTPFetchActor, "http_fetch"),
        (LoadV2Data, "load_v2_data"),
        (Box[int], "box"),
        (_PrivateTask, "private"),
        (fetch_task, "fetch_task"),
        (functools.partial(functools.partial(fetch_task)), "fetch_task"),
        (functools.partial(FetchTask), "fetch"),
        ([].append, "append"),
        (len, "len"),
    ],
)
def test_only_a_class_name_loses_its_suffix_and_turns_snake_case(obj: object, name: str) -> None:
    """F16"""
    assert infer_name(obj) == name


@pytest.mark.parametrize("obj", [Actor, Actor(), lambda: None, functools.partial(lambda: None)])
def test_what_leaves_no_name_asks_for_one(obj: object) -> None:
    with pytest.raises(ValueError, match=r"gives no usable name \('.*'\); pass name="):
        infer_name(obj)


def test_an_explicit_name_is_kept_as_it_is() -> None:
    """F16"""
    assert check_name("my_task") == "my_task"
    assert check_name("My-Actor2") == "My-Actor2"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "it is empty"),
        ("a" * 129, "it has 129 characters; use at most 128"),
        ("@run", "a leading '@' is reserved"),
        ("monitor.alerts", "dots address outputs.* write 'monitor_alerts'"),
        ("../../x", "dots address outputs"),
        ("a b/c", "'a_b_c' would do"),
        ("größe", "'gr_e' would do"),
        ("\x1b[2J", "'2J' would do"),
        ("a\n", "'a' would do"),
        ("!!", "'node_1' would do"),
    ],
)
def test_an_illegal_name_is_refused_with_the_fix(name: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        check_name(name, "workflow")
    assert "is no workflow name" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_name_is_a_str() -> None:
    with pytest.raises(TypeError, match="a node name is a str, got 3"):
        check_name(3)


@given(st.text(max_size=140))
def test_every_text_is_a_legal_name_or_a_clear_error(text: str) -> None:
    refused: Callable[[], object] = functools.partial(check_name, text)
    legal = 0 < len(text) <= 128 and all(c.isascii() and (c.isalnum() or c in "_-") for c in text)
    if legal:
        assert refused() == text
    else:
        with pytest.raises(ValueError, match="is no node name: "):
            refused()


def test_a_suggestion_is_the_closest_name_or_all_of_them() -> None:
    assert suggest("fetsh", ["fetch", "parse"]) == " did you mean 'fetch'?"
    assert suggest("zzz", ["fetch", "parse"]) == " known: 'fetch', 'parse'"
    assert suggest("zzz", []) == " there are none yet"
    many = [f"node{n}" for n in range(23)]
    assert suggest("zzz", many).endswith("'node18', 'node19' and 3 more")
