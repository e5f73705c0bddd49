"""Overrides as they are written on a command line."""

import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trouper.runtime._config import parse_override


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("a.b=3", ("a", "b"), 3),
        (" a . b =3", ("a", "b"), 3),
        ("lr=1e-3", ("lr",), 0.001),
        ("a=true", ("a",), True),
        ("a=yes", ("a",), "yes"),
        ("a=null", ("a",), None),
        ("a=~", ("a",), None),
        ("a=~/logs", ("a",), "~/logs"),
        ("a=2024-01-01", ("a",), datetime.date(2024, 1, 1)),
        ("a=2024-13-45", ("a",), "2024-13-45"),
        ("a='3'", ("a",), "3"),
        ('a="x\\ty"', ("a",), "x\ty"),
        ("a=", ("a",), ""),
        ("a=b=c", ("a",), "b=c"),
        ("a=[1, x]", ("a",), [1, "x"]),
        ("a={b: 1}", ("a",), {"b": 1}),
        ("a=#ff0000", ("a",), "#ff0000"),
        ("a=C: x", ("a",), "C: x"),
        ("a=x:", ("a",), "x:"),
        ("a=-", ("a",), "-"),
        ("a=...", ("a",), "..."),
        ("a=---", ("a",), "---"),
        ("a=1 # one", ("a",), "1 # one"),
        ("a=*", ("a",), "*"),
        ("a=/var/log/x.log", ("a",), "/var/log/x.log"),
        ("a=[a-z]+", ("a",), "[a-z]+"),
        ("a=[INFO] {x", ("a",), "[INFO] {x"),
        ("a={a} to b", ("a",), "{a} to b"),
        ("a='[1'", ("a",), "[1"),
    ],
)
def test_an_override_is_read_as_in_a_file(text: str, path: tuple[str, ...], value: Any) -> None:
    found = parse_override(text)
    assert found == (path, value)
    assert type(found[1]) is type(value)


# Beyond the basic plane JSON writes pairs of surrogates, which YAML does not join.
@given(st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])))
def test_any_text_can_be_handed_over_in_quotes(text: str) -> None:
    quoted = json.dumps(text, ensure_ascii=True)
    assert parse_override(f"a={quoted}") == (("a",), json.loads(quoted))


@given(st.text())
def test_every_override_is_read_or_refused_clearly(text: str) -> None:
    try:
        path, _ = parse_override(text)
    except ValueError:
        with pytest.raises(ValueError, match="the override"):
            parse_override(text)
    else:
        assert all(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("verbose", "the override 'verbose' has no '='; write KEY=VALUE, as in model.lr=0.1"),
        ("=3", "the override '=3' has an empty key; write"),
        ("a..b=3", "has an empty key"),
        ("a='3", "does not end as it begins; close it, or put quotes around all of it"),
        ("a=[1,,]]", "does not end as it begins"),
        ("a={-_}", "does not end as it begins"),
        ("a=[1", "the override 'a=.1' does not end as it begins; close it, or put quotes around"),
        ("a=[", "does not end as it begins"),
        ("a=[1, [2], 3", "does not end as it begins"),
        ("a={b: 1", "does not end as it begins"),
    ],
)
def test_a_wrong_override_is_refused_with_the_fix(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_override(text)
