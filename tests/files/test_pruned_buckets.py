"""`trouper prune` takes what its runs have left in buckets, and nothing else there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.buckets import (
    Buckets,
    bucket_server,
    buckets,
    cloud_library,
    in_a_folder_of_its_own,
)
from harness.command import trouper_command
from trouper.io import StorageError
from trouper.runtime.command import _prune_data
from trouper.runtime.io._cloud import BucketStorage
from trouper.runtime.io._location import parse_location
from trouper.runtime.io._storage import storage_of

__all__ = [
    "bucket_server",
    "buckets",
    "cloud_library",
    "in_a_folder_of_its_own",
    "trouper_command",
]

Call = Callable[..., tuple[int, str, str]]
env = trouper.TaskEnvironment("pruned")


@env.task(cache="auto")
async def cached() -> trouper.io.File:
    return await trouper.io.File.asave("cached.txt", "data")


@env.task
async def leaves(ctx: trouper.TaskContext[Any, Any, Any]) -> trouper.io.File:
    assert ctx.artifact is not None
    ctx.artifact.save("model", b"0123456789")
    ctx.checkpoint("at", data={"step": 1})
    return await cached()


def run(project: str, raw: str, name: str = "r") -> trouper.Run:
    runner = trouper.with_runcontext(name=name, project=project, raw_data_path=raw)
    return runner.run(leaves)


def pruned(call: Call, *words: str) -> list[dict[str, Any]]:
    code, out, err = call("prune", "--older-than", "0s", "--yes", "--json", *words)
    assert (code, err) == (0, "")
    rows: list[dict[str, Any]] = json.loads(out)["runs"]
    return rows


def put(uri: str) -> None:
    place = parse_location(uri, "a file")
    writer = storage_of(place).create(place)
    writer.write(b"1")
    writer.commit()


def left(workspace: Path) -> list[Path]:
    return list(workspace.rglob(".removed-*"))


def test_what_a_run_left_in_a_bucket_goes_with_it(
    trouper_command: Call, buckets: Buckets, tmp_path: Path
) -> None:
    for scheme in ("s3", "gs"):
        raw = f"{scheme}://my-bucket/raw"
        run("p", raw)
        of_p = set(buckets.keys("my-bucket"))
        run("q", raw)  # takes the file of the first from the cache
        somebodys = f"{raw}/r/notes-0123abcd/of-somebody"
        put(somebodys)
        assert len(of_p) == 3
        code, out, _ = trouper_command("prune", "--older-than", "0s", "--dry-run", "--json")
        assert code == 0
        assert min(each["size"] for each in json.loads(out)["runs"]) > 10
        assert set(buckets.keys("my-bucket")) > of_p
        (row,) = pruned(trouper_command, "--project", "p")
        assert (row["removed"], row["stays"]) == (True, None)
        of_q = set(buckets.keys("my-bucket"))
        assert of_q
        assert not of_q & of_p
        assert left(tmp_path) == []
        # What it had cached is computed again: its file is not there any more.
        again = run("p", raw)
        assert again.outputs()[0].read_text() == "data"
        assert len(pruned(trouper_command)) == 2
        assert buckets.keys("my-bucket") == [somebodys.partition("my-bucket/")[2]]
        buckets.forget_all()
        buckets.make("my-bucket")


def test_a_bucket_that_does_not_answer_keeps_its_runs(
    trouper_command: Call, buckets: Buckets, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        run("p", "s3://my-bucket/raw", name)
    run("p", str(tmp_path / "here"), "c")
    asked: list[object] = []

    def silent(_: BucketStorage, folder: object) -> Any:
        asked.append(folder)
        raise StorageError("my-bucket can't be read")

    with monkeypatch.context() as patch:
        patch.setattr(BucketStorage, "walk", silent)
        code, out, _ = trouper_command("prune", "--older-than", "0s", "--yes")
        assert (code, len(asked)) == (0, 1)
        assert "for 2 runs the data in buckets can't be looked at" in out
        assert "my-bucket can't be read; --keep-buckets leaves" in out
        assert out.splitlines()[-1] == "removed 1 run"
        rows = pruned(trouper_command)
        assert [(each["removed"], each["stays"]) for each in rows] == [
            (False, "my-bucket can't be read")
        ] * 2
    keys = set(buckets.keys("my-bucket"))
    assert [each["removed"] for each in pruned(trouper_command, "--keep-buckets")] == [True] * 2
    assert set(buckets.keys("my-bucket")) == keys


def test_what_a_prune_could_not_remove_goes_with_the_next(
    trouper_command: Call, buckets: Buckets, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run("p", "s3://my-bucket/raw")

    def stuck(*_: object) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(BucketStorage, "remove", stuck)
        code, out, _ = trouper_command("prune", "--older-than", "0s", "--yes")
        assert (code, len(left(tmp_path))) == (0, 1)
        assert out.splitlines()[-1].endswith("could not be removed; the next prune tries again")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        patch.setattr("trouper.runtime.io._cloud._RETRIES", {"max_retries": 0})
        out = trouper_command("prune", "--yes")[1]
        assert "; the next prune tries again" in out
    assert pruned(trouper_command, "--keep-buckets") == []
    assert len(left(tmp_path)) == 1
    assert pruned(trouper_command) == []
    assert (buckets.keys("my-bucket"), left(tmp_path)) == ([], [])


def test_a_note_that_is_half_written_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "in-buckets.json").write_text('["s3://my-bu')
    assert _prune_data.remove_far(tmp_path) == ""
