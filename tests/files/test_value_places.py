"""Names and places as text: pure, so drawn at will. What is taken stays inside, and comes back."""

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trouper.runtime.io._location import Location, parse_location
from trouper.runtime.io._names import check_inner_path, check_value_name

ANY_TEXT = st.text(max_size=30) | st.text(
    st.sampled_from([*"ab./\\~%#?*: \n\0\x7f\u0085é😀", "\ud800"]), max_size=12
)


@given(ANY_TEXT)
@example("..")
@example("a" * 241)
@example("é" * 121)
def test_a_name_is_refused_or_stays_in_its_folder(name: str) -> None:
    try:
        assert check_value_name(name) == name
    except ValueError:
        return
    place = Location("file", "", "/raw/run") / name
    assert place.local.parent == Path("/raw/run")
    assert os.path.normpath(place.path) == place.path
    assert place.name == name
    assert parse_location(place.uri, "it") == place
    assert len(os.fsencode(name)) < 255
    in_bucket = Location("s3", "bucket", "runs") / name
    assert parse_location(in_bucket.uri, "it") == in_bucket


@given(st.lists(ANY_TEXT, max_size=4).map("/".join))
def test_an_inner_path_is_refused_or_stays_inside(path: str) -> None:
    try:
        assert check_inner_path(path) == path
    except ValueError:
        return
    place = Location("file", "", "/raw/dir") / path
    assert os.path.normpath(place.path) == place.path
    assert Path("/raw/dir") in place.local.parents


def test_an_inner_path_may_be_a_path() -> None:
    assert check_inner_path(PurePosixPath("a/b")) == "a/b"
    with pytest.raises(TypeError, match="a path inside of a folder is a str, got 3"):
        check_inner_path(3)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "can't be called ''; choose a name"),
        ("..", "can't be called '..'"),
        ("a/b", "'/' makes folders; use trouper.io.Dir"),
        ("a\0", "leave the control characters out"),
        ("\x9f", "leave the control characters out"),
        ("\ud800", "UTF-8 can't hold it"),
        ("é" * 121, r"may have 240 bytes, and 'é+'\.\.\. has 242"),
    ],
)
def test_a_refusal_names_the_name_and_the_fix(name: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check_value_name(name)


def test_a_name_is_a_str() -> None:
    with pytest.raises(TypeError, match="the name of a file is a str, got b'a'"):
        check_value_name(b"a")


@given(st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text))
def test_any_text_names_one_place_or_none(text: str) -> None:
    """F42: no folder called `s3:` is ever made."""
    try:
        place = parse_location(text, "it")
    except (ValueError, RuntimeError):  # a home folder that nobody has
        return
    if place.is_local:
        assert place.local.is_absolute()
        assert place.local.relative_to("/").parts[:1] != ("s3:",)
    try:
        place.uri.encode()
    except UnicodeEncodeError:
        return
    assert parse_location(place.uri, "it") == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("/raw", Location("file", "", "/raw")),
        ("file:///a%20b/", Location("file", "", "/a b")),
        ("file://localhost/raw", Location("file", "", "/raw")),
        ("FILE:///raw", Location("file", "", "/raw")),
        ("s3://my-bucket", Location("s3", "my-bucket", "")),
        ("s3://my-bucket/runs/x/", Location("s3", "my-bucket", "runs/x")),
        ("gs://b.c_d/a b?#%", Location("gs", "b.c_d", "a b?#%")),
    ],
)
def test_what_a_place_may_be(text: str, place: Location) -> None:
    assert parse_location(text, "raw_data_path") == place
    assert parse_location(place.uri, "it") == place


def test_a_relative_path_is_from_here_and_a_tilde_is_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert parse_location("raw/../x", "it").path == str(tmp_path / "x")
    assert parse_location("~/raw", "it").path == str(tmp_path / "home" / "raw")


@pytest.mark.parametrize(
    "text",
    [
        *("", "a\0b", "s3:/my-bucket/x", "s3://", "s3://a", "s3://UP case/", "s3://b-b//x"),
        *("s3://b-b/../x", "http://host/x", "gcs://bucket/x", "file://host/x", "file:///x?y"),
        *("file:///%00", "file://", "file:/x", "az://container/x"),
    ],
)
def test_what_no_place_may_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"^raw_data_path can't be .*; |: "):
        parse_location(text, "raw_data_path")


def test_a_place_is_a_str() -> None:
    with pytest.raises(TypeError, match=r"run_base_dir takes a local path, .*, got 3"):
        parse_location(3, "run_base_dir")
