"""A `raw_data_path` in a bucket takes the data of artifacts and checkpoints, against a server."""

import hashlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from harness.buckets import (
    Buckets,
    bucket_server,
    buckets,
    cloud_library,
    in_a_folder_of_its_own,
)
from harness.command import trouper_command
from trouper.runtime.assets import _append
from trouper.runtime.assets._manifest import Manifest

__all__ = [
    "bucket_server",
    "buckets",
    "cloud_library",
    "in_a_folder_of_its_own",
    "trouper_command",
]

Context = trouper.TaskContext[Any, Any, Any]
Call = Callable[..., tuple[int, str, str]]
RAW = "s3://my-bucket/raw"
PART = 8 << 20


def ended(body: Callable[..., Any], raw: str | None = RAW) -> trouper.Run:
    """Run a function as the task `body` of the run `r`."""
    env = trouper.TaskEnvironment("in-buckets")
    return trouper.with_runcontext(name="r", raw_data_path=raw).run(env.task(name="body")(body))


def assets(**about: Any) -> list[Any]:
    with trouper.Workspace() as workspace:
        return workspace.catalog.query_assets(**about, order="oldest")


def stop_the_server(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_the_data_lies_in_the_bucket_and_the_record_in_the_folder_of_the_run(
    scheme: str, buckets: Buckets
) -> None:
    def body(ctx: Context) -> None:
        saved = ctx.artifact.save("models/a b?%.txt", "one", tags=["t"])
        assert saved.hash == f"sha256:{hashlib.sha256(b'one').hexdigest()}"
        assert (saved.size, saved.version, saved.form) == (3, 1, "text")
        assert ctx.artifact.load("models/a b?%.txt") == "one"
        with ctx.artifact.open("models/a b?%.txt") as file:
            assert file.seek(1) == 1
            assert file.read() == b"ne"
        assert ctx.find_asset("models/a b?%.txt") == saved
        assert ctx.artifact.save("empty", b"").load() == b""
        assert ctx.checkpoint("at", data={"n": 1}).load() == {"n": 1}
        ctx.log("loss").append("1")

    run = ended(body, f"{scheme}://my-bucket/raw")
    keys = buckets.keys("my-bucket")
    found = [*assets(kind="artifact"), *assets(kind="checkpoint")]
    assert {each.uri for each in found} == {f"{scheme}://my-bucket/{key}" for key in keys}
    assert all(key.startswith("raw/r/assets-") for key in keys)
    assert all(f"/{each.id}/" in each.uri for each in found)
    assert found[0].load() == "one"
    names = {each.name for each in run.path.rglob("*")}
    assert names >= {"assets.jsonl", "logs"}
    assert not names & {"artifacts", "checkpoints"}
    with pytest.raises(trouper.AssetError, match=r"has no path on this machine; read it with open"):
        found[0].path  # noqa: B018  # it is the property that raises


def test_all_assets_have_a_uri() -> None:
    def body(ctx: Context) -> None:
        saved = ctx.artifact.save("a b", "1")
        assert saved.uri == saved.path.as_uri()

    ended(body, None)


def test_versions_and_chains_go_on_wherever_they_lie() -> None:
    def body(ctx: Context) -> None:
        before = ctx.restore("at", default="")
        ctx.checkpoint("at", data=f"{before}x")
        ctx.artifact.save("m", before)

    for raw in (RAW, None, "raw", f"{RAW}/other", RAW):
        ended(body, raw)
    told = {each.version: each.load() for each in assets(kind="artifact")}
    assert told == {1: "", 2: "x", 3: "xx", 4: "xxx", 5: "xxxx"}
    chain = assets(kind="checkpoint")
    assert [each.version for each in chain] == [1, 2, 3, 4, 5]
    assert [each.previous for each in chain[1:]] == [each.id for each in chain[:-1]]


def test_threads_that_save_at_once_get_each_a_version() -> None:
    async def body(ctx: Context) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(ctx.artifact.asave, "m", str(number))

    ended(body)
    found = assets(kind="artifact")
    assert [each.version for each in found] == [1, 2, 3, 4, 5]
    assert {each.load() for each in found} == set("01234")


def test_a_task_goes_on_where_it_was_without_blocking_the_others() -> None:
    async def body(ctx: Context) -> int:
        state = await ctx.arestore(default={"n": 0})
        kept = await ctx.acheckpoint("at", data={"n": state["n"] + 1})
        assert ctx.checkpoints("at").latest() == kept
        assert [each.load()["n"] for each in ctx.checkpoints("at")][-1] == 1
        return int(state["n"])

    assert [ended(body).outputs() for _ in range(3)] == [(0,), (1,), (2,)]


def test_streams_and_files_go_there(buckets: Buckets, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * (PART + 1))

    async def chunks() -> AsyncIterator[bytes | str]:
        yield b"ab"
        yield "c"

    async def body(ctx: Context) -> None:
        assert (await ctx.artifact.asave("streamed", chunks())).load() == b"abc"
        assert (await ctx.artifact.asave("plain", {"a": 1})).load() == {"a": 1}
        large = await ctx.artifact.asave("file", tmp_path / "in", mime="a/b", tags={"k": "v"})
        assert (large.size, large.mime, large.tags) == (PART + 1, "a/b", ("k=v",))
        assert await ctx.artifact.aload("file") == (tmp_path / "in").read_bytes()

    ended(body)
    assert len(buckets.keys("my-bucket")) == 3


def test_what_fails_or_is_cancelled_halfway_is_never_seen(buckets: Buckets) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * (3 * PART)
        raise LookupError("the source is broken")

    async def endless(begun: trio.Event) -> AsyncIterator[bytes]:
        yield b"x" * (3 * PART)
        begun.set()
        await trio.sleep_forever()

    async def body(ctx: Context) -> None:
        with pytest.raises(LookupError):
            ctx.artifact.save("m", broken())
        with pytest.raises(LookupError):
            await ctx.artifact.asave("m", broken())
        with pytest.raises(trouper.AssetNameError):
            await ctx.artifact.asave("../m", b"")
        begun = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ctx.artifact.asave, "m", endless(begun))
            await begun.wait()
            nursery.cancel_scope.cancel()

    ended(body)
    assert buckets.keys("my-bucket") == []
    assert buckets.unfinished("my-bucket") == []
    assert assets(kind="artifact") == []


def test_a_bucket_that_does_not_take_it_is_told_and_nothing_is_recorded() -> None:
    def body(ctx: Context) -> str:
        with pytest.raises(trouper.AssetError, match="no such bucket"):
            ctx.artifact.save("m", b"1")
        with pytest.raises(trouper.AssetError, match="no such bucket"):
            ctx.checkpoint("m", data=1)
        assert ctx.checkpoints("m").latest() is None
        return "gone on"

    assert ended(body, "s3://nobody-has-this").outputs() == ("gone on",)
    assert assets(kind=["artifact", "checkpoint"]) == []


def test_a_bucket_that_can_not_be_reached_is_told_with_what_to_look_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def body(ctx: Context) -> str:
        saved = ctx.artifact.save("m", b"1")
        stop_the_server(monkeypatch)
        for call in (lambda: ctx.artifact.save("m", b"1"), saved.load, saved.open):
            with pytest.raises(trouper.AssetError, match="look at the credentials, the endpoint"):
                call()
        return "gone on"

    assert ended(body).outputs() == ("gone on",)
    assert len(assets(kind="artifact")) == 1


def test_without_the_library_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(ctx: Context) -> None:
        ctx.artifact.save("m", b"1")

    ended(body)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(trouper.AssetError, match=r"pip install 'trouper\[cloud\]'"):
        assets(kind="artifact")[0].load()


def test_what_can_not_be_recorded_goes_from_the_bucket_again(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        assert len(buckets.keys("my-bucket")) == 1  # the data is there first
        raise OSError(28, "No space left on device")

    def body(ctx: Context) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(_append, "write_all", refuse)
            with pytest.raises(trouper.AssetsFull):
                ctx.artifact.save("m", b"1")
        assert buckets.keys("my-bucket") == []
        assert ctx.artifact.find("m") is None
        return "gone on"

    assert ended(body).outputs() == ("gone on",)


def test_who_stops_before_the_record_leaves_nothing_that_is_seen(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kill does: what may have been recorded is not removed."""

    def interrupt(_: Manifest) -> None:
        raise KeyboardInterrupt

    def body(ctx: Context) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(Manifest, "alone", interrupt)
            with pytest.raises(KeyboardInterrupt):
                ctx.artifact.save("m", b"1")
        assert len(buckets.keys("my-bucket")) == 1
        return f"{ctx.artifact.find('m')} {ctx.artifact.save('m', b'2').version}"

    assert ended(body).outputs() == ("None 1",)


def test_what_is_gone_is_told() -> None:
    def body(ctx: Context) -> None:
        ctx.artifact.save("m", b"1")

    ended(body)
    [asset] = assets(kind="artifact")
    gone = type(asset)(**{**_fields(asset), "file": f"{RAW}/gone"})
    for call in (gone.load, gone.open):
        with pytest.raises(trouper.AssetGone, match=f"'{RAW}/gone' is not there"):
            call()


def _fields(asset: Any) -> dict[str, Any]:
    return {name: getattr(asset, name) for name in asset.__struct_fields__}


def test_a_catalog_that_is_rebuilt_is_equal() -> None:
    def body(ctx: Context) -> None:
        ctx.artifact.save("m", b"1")
        ctx.artifact.load("m")
        ctx.artifact.save("m", b"2")
        ctx.checkpoint("at", data=1)

    ended(body)
    before = assets()
    with trouper.Workspace() as workspace:
        workspace.catalog.rebuild()
    assert assets() == before
    assert [each.load() for each in assets(name="m")] == [b"1", b"2"]


def test_commands_show_it_and_where_it_lies(
    trouper_command: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def body(ctx: Context) -> None:
        ctx.artifact.save("m.txt", "one\n")

    ended(body)
    uri = assets(kind="artifact")[0].uri
    assert trouper_command("assets", "cat", "m.txt") == (0, "one\n", "")
    assert trouper_command("assets", "path", "m.txt") == (0, f"{uri}\n", "")
    told = {"path": None, "uri": uri}
    assert json.loads(trouper_command("assets", "path", "m.txt", "--json")[1]) == told
    shown = json.loads(trouper_command("assets", "show", "m.txt", "--json")[1])
    assert {"path": shown["path"], "uri": shown["uri"]} == told
    assert f"\npath: {uri}\n" in trouper_command("assets", "show", "m.txt")[1]
    stop_the_server(monkeypatch)
    code, out, problem = trouper_command("assets", "cat", "m.txt")
    assert (code, out) == (2, "")
    assert "look at the credentials" in problem
