"""Names of assets: contained, and back as they were; or refused."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trouper
from harness.assets import context_of, run_assets
from trouper.runtime.assets._errors import AssetDataError, AssetError, AssetNameError
from trouper.runtime.assets._names import file_of, place_of

nasty = st.one_of(
    st.text(min_size=0, max_size=300),
    st.lists(
        st.sampled_from(
            ["..", ".", "", "a", "~", "C:", "\\", "@2", "\x00", "\n", " ", "%2E", "CON"]
        ),
        max_size=5,
    ).map("/".join),
    st.text(alphabet=st.characters(codec=None, categories=("Cs", "Cc", "Zs")), max_size=5),
)


@given(nasty)
def test_a_name_stands_for_a_file_below_or_is_refused(name: str) -> None:
    """F15"""
    try:
        file = file_of(name)
    except AssetNameError:
        return
    parts = file.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert not any(part.startswith((".", "@")) for part in parts)
    assert all(len(part.encode()) <= 240 and part.isprintable() for part in parts)
    assert Path("/x", file).is_relative_to("/x")


@given(nasty, nasty)
def test_two_names_never_share_a_file(one: str, two: str) -> None:
    try:
        files = file_of(one), file_of(two)
    except AssetNameError:
        return
    assert (files[0] == files[1]) == (one == two)


@settings(max_examples=60, deadline=None)
@given(name=nasty)
def test_what_is_saved_under_a_nasty_name_comes_back(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder, run_assets(Path(folder, "ws")) as assets:
        ctx = context_of(assets)
        uses: Any = (
            lambda: ctx.artifact.save(name, name.encode("utf-8", "surrogatepass")),
            lambda: ctx.checkpoint(name, data=1),
            lambda: ctx.log(name).append("x"),
            lambda: ctx.data_assets.import_asset(name, __file__),
        )
        try:
            file_of(name)
        except AssetNameError:
            for use in uses:
                with pytest.raises(AssetNameError):
                    use()
        else:
            for use in uses:
                use()
            ctx.log(name).flush()
            found = ctx.find_asset(name, kind="artifact")
            assert found.name == name
            assert found.load() == name.encode("utf-8", "surrogatepass")
            assert len({each.path for each in _all_of(ctx, name)}) == 4
        inside = {each for each in Path(folder).rglob("*") if each.is_file()}
        assert all(each.is_relative_to(Path(folder, "ws")) for each in inside)


def _all_of(ctx: trouper.TaskContext, name: str) -> list[trouper.Asset]:
    kinds = ("artifact", "checkpoint", "log", "data")
    return [ctx.find_asset(name, kind=kind) for kind in kinds]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../../x", "none is '.' or '..'"),
        ("/etc/passwd", "needs a name of its own"),
        ("a//b", "needs a name of its own"),
        ("", "1 to 512 characters, got 0"),
        ("x" * 513, "1 to 512 characters, got 513"),
        ("ä" * 100, "600 bytes as the name of a file, and at most 240"),
        ("\ud800", "UTF-8 can't hold it"),
        (7, "the name of an asset is a str, got 7"),
    ],
)
def test_refusals_name_the_fix(name: str, problem: str) -> None:
    """F15: `artifact.save("../../x")` escapes the run folder."""
    with pytest.raises(AssetNameError, match=problem):
        file_of(name)


def test_places_of_versions() -> None:
    assert place_of("artifacts", "m.json", 1) == "artifacts/m.json"
    assert place_of("artifacts", "a/m.json", 3) == "artifacts/@3/a/m.json"
    assert place_of("logs", "@2", 1, ".log") == "logs/%402.log"
    assert file_of(".hidden.") == "%2Ehidden%2E"


def test_a_name_that_is_part_of_anothers_is_refused(tmp_path: Path) -> None:
    with run_assets(tmp_path) as assets:
        artifact = context_of(assets).artifact
        artifact.save("a", b"")
        with pytest.raises(AssetNameError, match="the name of another asset"):
            artifact.save("a/b", b"")
        artifact.save("c/d", b"")
        artifact.save("c", b"")
        assert artifact.find("c") is not None
        assert issubclass(AssetDataError, AssetError)
