"""A `raw_data_path` that was given takes the data of artifacts and checkpoints too."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import trouper
from trouper.actors._run_context import RunContext
from trouper.runtime.io._places import settle_places

Context = trouper.TaskContext[Any, Any, Any]
env = trouper.TaskEnvironment("asset-data")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TROUPER_HOME", str(tmp_path / ".trouper"))


@env.task
async def saves(ctx: Context, text: str) -> list[str]:
    assert ctx.artifact is not None
    before = ctx.restore("at", default="")
    saved = ctx.artifact.save("models/m.txt", text)
    kept = ctx.checkpoint("at", data=before + text)
    ctx.log("loss").append(text)
    assert ctx.artifact.load("models/m.txt") == text
    assert saved.hash == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    return [str(saved.path), str(kept.path)]


def paths_of(run: trouper.Run) -> list[Path]:
    [found] = run.outputs()
    return [Path(each) for each in found]


def ended(text: str, **parameters: Any) -> trouper.Run:
    return trouper.with_runcontext(name="r", **parameters).run(saves, text)


@pytest.mark.parametrize("given", ["raw", "{}/raw", "file://{}/raw"])
def test_the_data_lies_there_and_the_record_in_the_folder_of_the_run(
    given: str, tmp_path: Path
) -> None:
    run = ended("one", raw_data_path=given.format(tmp_path))
    for path in paths_of(run):
        assert path.is_relative_to(tmp_path / "raw" / "r")
        assert path.is_file()
    names = {each.name for each in run.path.rglob("*")}
    assert names >= {"assets.jsonl", "logs"}
    assert not names & {"artifacts", "checkpoints"}
    with trouper.Workspace() as workspace:
        [asset] = workspace.catalog.query_assets(kind="artifact", name="models/m.txt")
        assert asset.path == paths_of(run)[0]
        assert asset.load() == "one"
        with asset.open() as file:
            assert file.read() == b"one"


def test_without_one_it_lies_in_the_folder_of_the_run() -> None:
    run = ended("one")
    assert [path.is_relative_to(run.path) for path in paths_of(run)] == [True, True]


def test_one_that_is_configured_counts_as_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROUPER_RAW_DATA_PATH", "of-the-environment")
    places = paths_of(ended("one"))
    trouper.init(run={"raw_data_path": "configured"})
    places += paths_of(ended("two"))
    roots = [path.relative_to(tmp_path).parts[0] for path in places]
    assert roots == ["of-the-environment"] * 2 + ["configured"] * 2


def test_versions_and_chains_go_on_wherever_they_lie() -> None:
    for text, raw in (("a", None), ("b", "raw"), ("c", "other"), ("d", None)):
        ended(text, raw_data_path=raw)
    with trouper.Workspace() as workspace:
        artifacts = workspace.catalog.query_assets(kind="artifact")
        chain = workspace.catalog.query_assets(kind="checkpoint")
    told = {each.version: each.load() for each in artifacts}
    assert told == {1: "a", 2: "b", 3: "c", 4: "d"}
    assert {each.version: each.load() for each in chain} == {1: "a", 2: "ab", 3: "abc", 4: "abcd"}


def test_runs_of_one_name_do_not_share_a_file(tmp_path: Path) -> None:
    """Neither of another project nor of another workspace."""
    places = [
        paths_of(ended(project, project=project, workspace=tmp_path / home, raw_data_path="raw"))
        for home in ("one", "two")
        for project in ("p", "q")
    ]
    assert len({path for found in places for path in found}) == 8
    assert [found[0].read_text(encoding="utf-8") for found in places] == ["p", "q", "p", "q"]


def test_streams_go_there_too(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    @env.task(name="streams")
    async def streams(ctx: Context) -> str:
        assert ctx.artifact is not None
        return str((await ctx.artifact.asave("streamed", chunks())).path)

    [path] = trouper.with_runcontext(name="s", raw_data_path="raw").run(streams).outputs()
    assert Path(path).read_bytes() == b"abc"
    assert Path(path).is_relative_to(tmp_path / "raw" / "s")


def test_without_a_workspace_it_does_not() -> None:
    for root, wanted in ((None, None), (Path("ws"), "raw/r")):
        context = settle_places(RunContext(run_name="r", raw_data_path="raw"), root)
        found = context.kept["io"].assets()
        assert (found is None) is (wanted is None)
