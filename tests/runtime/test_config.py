"""Profiles and overrides: later wins, mappings merge, errors hold their fix."""

import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trouper import ProfileConfig
from trouper.runtime._config import build_config, parse_override, pick_profile

FILE: dict[str, Any] = {
    "lr": 0.1,
    "model": {"layers": [1, 2], "size": {"w": 1, "h": 2}},
    "profiles": {
        "fast": {"lr": 0.5, "model": {"layers": [3], "size": {"w": 9}}},
        "flat": {"model": 1, "lr": {"start": 1}},
        "empty": None,
        "bad": 3,
    },
}


def test_the_profile_lies_over_the_plain_keys() -> None:
    assert pick_profile(FILE, None) == {"lr": 0.1, "model": FILE["model"]}
    assert pick_profile(FILE, "fast") == {
        "lr": 0.5,
        "model": {"layers": [3], "size": {"w": 9, "h": 2}},
    }
    assert pick_profile(FILE, "flat") == {"lr": {"start": 1}, "model": 1}
    assert pick_profile(FILE, "empty") == pick_profile(FILE, None)
    assert pick_profile({"profiles": None}, None) == {}


@pytest.mark.parametrize(
    ("data", "profile", "problem"),
    [
        (FILE, "fastt", "there is no profile 'fastt'; did you mean 'fast'?"),
        (FILE, "zzz", "no profile 'zzz'; known: 'fast', 'flat', 'empty', 'bad'"),
        ({"a": 1}, "fast", "no profile 'fast': the configuration has no 'profiles'; name one"),
        (FILE, "bad", "the profile 'bad' is 3; give it keys, or nothing"),
        ({"profiles": 3}, None, "'profiles' is kept for profiles, name to keys; got 3"),
    ],
)
def test_a_profile_that_can_not_be_used_is_refused(
    data: dict[str, Any], profile: str | None, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem.replace("?", r"\?")):
        pick_profile(data, profile)


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


def test_overrides_lie_over_the_profile_and_the_last_wins() -> None:
    before = json.dumps(FILE)
    config = build_config(
        FILE, "fast", ["model.size.w=7", "new.deep.key=x", "lr=1", (("lr",), 2), "model.layers=[]"]
    )
    assert config == {
        "lr": 2,
        "model": {"layers": [], "size": {"w": 7, "h": 2}},
        "new": {"deep": {"key": "x"}},
    }
    assert config.name == "fast"
    assert json.dumps(FILE) == before


def test_an_override_into_what_has_no_keys_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'lr.x.y' goes into 'lr', which is 0.1 and has no keys"):
        build_config(FILE, overrides=["lr.x.y=1"])
    with pytest.raises(ValueError, match=r"override 'model.layers' as a whole"):
        build_config(FILE, overrides=["model.layers.0=1"])


def test_a_config_may_be_the_base_of_another() -> None:
    base = build_config(FILE, "fast")
    assert build_config(base, overrides=["model.size.w=7"])["model"]["size"] == {"w": 7, "h": 2}
    assert build_config(base).name == "fast"
    assert base["model"]["size"]["w"] == 9
    assert build_config() == ProfileConfig()
    assert build_config().name is None
