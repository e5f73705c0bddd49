"""Profiles: layers, `extends`, overrides and schemas; later wins, and errors hold their fix."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trouper
from trouper import ProfileConfig
from trouper.runtime.settings._merge import merged, normal
from trouper.runtime.settings._profiles import Profiles

FILE: dict[str, Any] = {
    "lr": 0.1,
    "model": {"layers": [1, 2], "size": {"w": 1, "h": 2}},
    "profiles": {
        "fast": {"lr": 0.5, "model": {"layers": [3], "size": {"w": 9}}},
        "flat": {"model": 1, "lr": {"start": 1}},
        "empty": None,
    },
}


def profiles(*layers: dict[str, Any]) -> Profiles[Any]:
    return Profiles([(f"file {n}", layer) for n, layer in enumerate(layers, 1)])


def test_the_profile_lies_over_the_plain_keys() -> None:
    found = profiles(FILE)
    assert found.resolve() == {"lr": 0.1, "model": FILE["model"]}
    assert found.resolve("fast") == {
        "lr": 0.5,
        "model": {"layers": [3], "size": {"w": 9, "h": 2}},
    }
    assert found.resolve("flat") == {"lr": {"start": 1}, "model": 1}
    assert found.resolve("empty") == found.resolve()
    assert profiles({"profiles": None, "defaults": None}).resolve() == {}
    assert found.names == ("fast", "flat", "empty")
    assert (found.resolve().name, found.resolve("fast").name) == (None, "fast")
    assert profiles().resolve() == ProfileConfig()


def test_defaults_are_the_weakest_keys() -> None:
    found = profiles({"a": 1, "defaults": {"a": 0, "b": {"c": 0}}, "profiles": {"p": {"b": {}}}})
    assert found.resolve("p") == {"a": 1, "b": {"c": 0}}


def test_overrides_lie_over_the_profile_and_the_last_wins() -> None:
    before = json.dumps(FILE)
    config = profiles(FILE).resolve(
        "fast",
        ["model.size.w=7", "new.deep.key=x", "lr=1", (("lr",), 2), "model.layers=[]"],
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
        profiles(FILE).resolve(overrides=["lr.x.y=1"])
    with pytest.raises(ValueError, match=r"override 'model.layers' as a whole"):
        profiles(FILE).resolve(overrides=["model.layers.0=1"])


def test_an_override_makes_another_identity_without_a_profile_too() -> None:
    """F18: an override without a profile's name was taken for the old run."""
    found = profiles(FILE)
    hashes = {
        found.resolve().content_hash(),
        found.resolve(overrides=["lr=0.2"]).content_hash(),
        found.resolve("fast").content_hash(),
    }
    assert len(hashes) == 3
    assert found.resolve(overrides=["lr=0.1"]).content_hash() in hashes


CHAIN: dict[str, Any] = {
    "a": 0,
    "profiles": {
        "base": {"a": 1, "b": {"c": 1, "d": 1}},
        "left": {"extends": "base", "b": {"c": 2}, "who": "left"},
        "right": {"extends": ["base"], "b": {"d": 3}, "who": "right"},
        "both": {"extends": ["left", "right"], "e": 4},
    },
}


def test_a_profile_lies_over_those_that_it_extends() -> None:
    found = profiles(CHAIN)
    assert found.resolve("left") == {"a": 1, "b": {"c": 2, "d": 1}, "who": "left"}
    # What both extend counts once, before them: it does not undo what "left" says.
    assert found.resolve("both") == {"a": 1, "b": {"c": 2, "d": 3}, "who": "right", "e": 4}


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"a": {"extends": "a"}}, r"the profiles extend one another: a -> a; remove one"),
        (
            {"x": {"extends": "a"}, "a": {"extends": "b-c"}, "b_c": {"extends": ["x"]}},
            r"extend one another: x -> a -> b_c -> x; remove one 'extends'",
        ),
        ({"a": {"extends": "base"}, "bass": None}, r"'a' extends 'base', and there is no pro"),
        ({"a": {"extends": "zzz"}}, r"there is no profile 'zzz'; known: 'a'$"),
        ({"a": {"extends": 3}}, r"file 1: the profile 'a' extends 3; write the name of a"),
        ({"a": {"extends": ["b", 3]}}, r"the profile 'a' extends \['b', 3\]; write"),
        ({"a": 3}, r"file 1: the profile 'a' is 3; give it keys, or nothing"),
        (3, r"file 1: 'profiles' is kept for profiles, name to keys; got 3"),
        ({3: {}}, r"the key 3 is no text; write '3' in quotes"),
        ({"a-b": {}, "a_b": {}}, r"file 1: 'a-b' and 'a_b' are the same key; keep one of them"),
    ],
)
def test_wrong_profiles_are_told_when_they_are_read(section: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        profiles({"profiles": section})


@pytest.mark.parametrize(
    ("data", "name", "problem"),
    [
        (
            FILE,
            "fastt",
            r"no profile 'fastt'; did you mean 'fast'\? known: 'fast', 'flat', 'empty'",
        ),
        (FILE, "zzz", r"there is no profile 'zzz'; known: 'fast', 'flat', 'empty'$"),
        ({"a": 1}, "fast", "no profile 'fast': the configuration has no 'profiles'; name one"),
    ],
)
def test_an_unknown_profile_is_told_with_the_known_ones(
    data: dict[str, Any], name: str, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        profiles(data).resolve(name)


def test_defaults_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(ValueError, match="'defaults' is kept for keys that all profiles begin"):
        profiles({"defaults": [1]})


def test_a_later_file_lies_over_the_former() -> None:
    later = {
        "lr": 0.2,
        "model": {"size": {"h": 5}},
        "profiles": {"fast": {"lr": 0.7}, "new": {"extends": "fast", "x": 1}},
    }
    found = profiles(FILE, later)
    assert found.resolve() == {"lr": 0.2, "model": {"layers": [1, 2], "size": {"w": 1, "h": 5}}}
    assert found.resolve("fast")["lr"] == 0.7
    assert found.resolve("fast")["model"]["size"] == {"w": 9, "h": 5}
    assert found.resolve("new")["x"] == 1
    assert profiles(CHAIN, {"profiles": {"left": {"extends": []}}}).resolve("left")["a"] == 0


def test_dash_and_underscore_are_the_same_in_keys_and_names() -> None:
    data = {
        "batch-size": 1,
        "by-region": {"us-east-1": 1},
        "profiles": {"very-fast": {"batch_size": 2, "by_region": {"us-east-1": 2}}},
    }
    config = profiles(data).resolve("very_fast", ["by-region.us_east_1=3", "some-key=4"])
    assert config.name == "very-fast"
    assert config.to_dict() == {"batch-size": 2, "by-region": {"us-east-1": 3}, "some-key": 4}
    assert (config["batch_size"], config["batch-size"]) == (2, 2)
    assert config["by_region"]["us_east-1"] == 3
    assert "some_key" in config
    assert "some_other" not in config


KEYS = st.text("ab-_", min_size=1, max_size=3)
TREES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, st.integers(), max_size=3),
    lambda inner: st.dictionaries(KEYS, st.integers() | inner, max_size=3),
    max_leaves=8,
).map(lambda tree: merged({}, tree))


def leaves(tree: dict[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    for key, value in tree.items():
        at = (*path, normal(key))
        found |= leaves(value, at) if isinstance(value, dict) else {at: value}
    return found


@given(TREES, TREES, TREES)
def test_a_merge_is_associative_and_changes_nothing(
    a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]
) -> None:
    before = json.dumps([a, b, c])
    assert merged(merged(a, b), c) == merged(a, merged(b, c)) or _replaces(a, b, c)
    assert leaves(c).items() <= leaves(merged(merged(a, b), c)).items()
    assert merged(a, a) == a == merged(a, {}) == merged({}, a)
    assert json.dumps([a, b, c]) == before


def _replaces(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> bool:
    """Whether a mapping of one meets a plain value of another: then the order of merging shows."""
    found = [leaves(tree) for tree in (a, b, c)]
    paths = {path for tree in found for path in tree}
    inner = {path[:n] for path in paths for n in range(1, len(path))} | {
        path for tree in (a, b, c) for path in _mappings(tree)
    }
    return bool(paths & inner)


def _mappings(tree: dict[str, Any], path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for key, value in tree.items():
        if isinstance(value, dict):
            at = (*path, normal(key))
            found |= {at} | _mappings(value, at)
    return found


class Size(msgspec.Struct):
    w: int
    h: int = 2


class Shelf(msgspec.Struct):
    by_name: dict[str, Size] = {}
    layers: list[Size | None] = []


class Settings(msgspec.Struct):
    lr: float
    batch_size: int = 32
    size: Size | None = None
    tags: dict[str, int] = {}


def test_a_schema_checks_fills_in_and_types() -> None:
    data = {"lr": 1, "batch-size": 8, "size": {"w": 3}, "profiles": {"p": {"tags": {"a-b": 1}}}}
    found = Profiles([("file", data)], Settings)
    settings = found.struct("p")
    assert settings == Settings(1.0, 8, Size(3), {"a-b": 1})
    config = found.resolve("p")
    assert config.to_dict() == {
        "lr": 1.0,
        "batch_size": 8,
        "size": {"w": 3, "h": 2},
        "tags": {"a-b": 1},
    }
    assert isinstance(config["lr"], float)
    assert config.name == "p"
    assert found.struct(overrides=["size=null"]).size is None


def test_a_schema_may_have_structs_in_mappings_and_lists() -> None:
    data = {"by-name": {"a-b": {"w": 1}}, "layers": [{"w": 2}, None]}
    found = Profiles([("file", data)], Shelf)
    assert found.struct() == Shelf({"a-b": Size(1)}, [Size(2), None])
    assert found.resolve().typed(Shelf) == found.struct()
    for wrong, problem in (
        ({"by-name": {"a-b": {"wide": 1}}}, r"unknown key 'by_name\.a-b\.wide'; known: 'w', 'h'"),
        ({"layers": [{"wide": 1}]}, r"unknown key 'layers\[0\]\.wide'; known: 'w', 'h'"),
    ):
        with pytest.raises(ValueError, match=problem):
            Profiles([("file", wrong)], Shelf).struct()


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("lrr=1", r"the profile 'p': unknown key 'lrr'; did you mean 'lr'\?"),
        ("size.wide=1", r"unknown key 'size.wide'; known: 'w', 'h'"),
        ("size={}", r"the profile 'p': size: object missing required field `w`"),
        ("lr=fast", r"the profile 'p': lr: expected `float`, got `str`"),
        ("size.w=1.5", r"the profile 'p': size.w: expected `int`, got `float`"),
    ],
)
def test_what_does_not_meet_the_schema_is_told_with_its_place(override: str, problem: str) -> None:
    found = Profiles([("file", {"lr": 1.0, "profiles": {"p": {}}})], Settings)
    with pytest.raises(ValueError, match=problem):
        found.resolve("p", [override])


def test_a_struct_needs_a_schema() -> None:
    with pytest.raises(TypeError, match="there is no schema; give one: load_profiles"):
        profiles(FILE).struct("fast")


def test_files_of_each_format_are_layered(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("lr: 1e-3\nprofiles: {p: {x: 1}}")
    (tmp_path / "b.toml").write_text("[profiles.p]\ny = 2\n")
    (tmp_path / "c.json").write_text('{"profiles": {"p": {"x": 3}}}')
    paths = [tmp_path / name for name in ("a.yaml", "b.toml", "c.json")]
    assert trouper.load_profiles(paths).resolve("p") == {"lr": 0.001, "x": 3, "y": 2}
    assert trouper.load_profiles(str(paths[0])).resolve("p") == {"lr": 0.001, "x": 1}
    assert trouper.load_profiles(paths[0]).resolve() == {"lr": 0.001}
    with pytest.raises(FileNotFoundError):
        trouper.load_profiles(tmp_path / "none.yaml")
