"""`ctx.log(name)`: lines from any task, thread and process; none is lost, none is mixed."""

import errno
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.assets import context_of, execute, run_assets, workspace
from trouper.runtime.assets import _append, _log_buffer
from trouper.runtime.assets._catalog import Catalog
from trouper.runtime.assets._logs import Log
from trouper.runtime.assets._run_assets import RunAssets


@pytest.fixture
def assets(tmp_path: Path) -> Iterator[RunAssets]:
    with run_assets(tmp_path / "ws") as found:
        yield found


@pytest.fixture
def log(assets: RunAssets) -> Log:
    found: Log = context_of(assets).log("train")
    return found


def test_a_line_is_written_to_the_logs_folder(log: Log, tmp_path: Path) -> None:
    """Seed page: `.append(line)` writes a line to logs/<name>.log."""
    log.append("loss=0.05")
    log.flush()
    path = tmp_path / "ws/projects/p/experiments/e/runs/r/logs/train.log"
    assert path.read_text() == "loss=0.05\n"


def test_the_record_is_typed_and_reads_the_file_when_asked(log: Log) -> None:
    """F14: a line never rewrites a catalog."""
    assert log._shelf.newest("train") is None
    log.append("one")
    asset = log.asset
    assert isinstance(asset, trouper.LogAsset)
    log.flush()
    assert (asset.lines, asset.size) == (1, 4)
    log.append("two")
    log.append("three")
    log.flush()
    assert (asset.lines, asset.size, asset.path.name) == (3, 14, "train.log")
    assert asset.modified is not None
    assert asset.producer.task == "train"
    assert asset.load() == "one\ntwo\nthree\n"
    asset.path.unlink()
    assert (asset.lines, asset.size) == (0, 0)
    assert asset.modified is None


def test_there_is_one_record_of_a_log(assets: RunAssets, log: Log) -> None:
    log.append("a")
    log.flush()
    context_of(assets, "other").log("train").append("b")
    assets.close()
    manifest = assets.shelf.path / "assets.jsonl"
    assert manifest.read_text().count('"kind":"log"') == 1
    assert log.tail() == ["a", "b"]


def test_it_is_written_soon_without_a_flush(log: Log) -> None:
    log.append("x")
    while not os.path.exists(log._buffer.path) or not os.path.getsize(log._buffer.path):
        threading.Event().wait(0.005)  # the suite's own limit ends this, should it never come
    assert log._buffer.path.read_text() == "x\n"


async def test_a_log_is_one_object_for_all_who_ask(assets: RunAssets) -> None:
    """It is asked for with each line, from tasks and threads alike."""
    ctx, other = context_of(assets), context_of(assets, "other")
    log = ctx.log("train")
    assert log is ctx.log("train") is other.log("train")
    assert await trio.to_thread.run_sync(other.log, "train") is log
    assert log is not ctx.log("other")
    assert len({ctx.log(name) for name in ("a", "b", "train")}) == 3
    wrongs: list[Any] = ["../x", "", None, []]
    for wrong in wrongs:
        with pytest.raises((TypeError, trouper.AssetNameError)):
            ctx.log(wrong)
    assert trouper.TaskContext[Any, Any, Any]().log("train") is None


def test_a_log_keeps_no_context_once_it_is_recorded(assets: RunAssets) -> None:
    ctx = context_of(assets)
    ctx.log("train").append("line")
    known = weakref.ref(ctx.run_context)
    assert ctx.log("train").asset.producer.task == "train"
    del ctx
    assert known() is None


@pytest.mark.parametrize("line", [None, 7, b"bytes"])
def test_only_text_is_appended(log: Log, line: Any) -> None:
    with pytest.raises(TypeError, match=r"log.append takes a str"):
        log.append(line)
    assert log.asset is None


def test_odd_text_is_appended(log: Log) -> None:
    class Text(str):
        __slots__ = ()

    for line in (Text("sub"), "two\nlines", "half \ud800", ""):
        log.append(line)
    assert log.tail() == ["sub", "two", "lines", "half \\ud800", ""]


def test_tail(log: Log) -> None:
    assert log.tail() == []
    lines = [f"line {number} {'x' * 50}" for number in range(5000)]
    for line in lines:
        log.append(line)
    assert log.tail(3) == lines[-3:]
    assert log.tail(3000) == lines[-3000:]
    assert log.tail(10_000) == lines
    assert log.tail(0) == []
    assert list(log) == lines
    with pytest.raises(ValueError, match="0 lines or more, got -1"):
        log.tail(-1)


def test_threads_append_at_once(log: Log) -> None:
    def work(number: int) -> None:
        for count in range(500):
            log.append(f"{number} {count}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    words = [line.split() for line in log]
    assert len(words) == 4000
    for number in range(8):
        assert [int(count) for who, count in words if int(who) == number] == list(range(500))


PROCESS = """
import sys
from pathlib import Path
from harness.assets import context_of, run_assets
with run_assets(Path(sys.argv[1])) as assets:
    log = context_of(assets).log("train")
    for count in range(300):
        log.append(f"{sys.argv[2]} {count} " + "x" * 200)
"""


def test_processes_append_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [subprocess.Popen([*command, str(number)], env=environment) for number in range(4)]
    assert [each.wait() for each in started] == [0] * 4
    with run_assets(tmp_path) as assets:
        words = [line.split() for line in context_of(assets).log("train")]
    assert all(text == "x" * 200 for _, _, text in words)
    for number in range(4):
        assert [int(count) for who, count, _ in words if int(who) == number] == list(range(300))


def test_one_record_however_many_begin_at_once(tmp_path: Path) -> None:
    with run_assets(tmp_path) as one, run_assets(tmp_path) as two:
        logs = [context_of(assets, f"t{n}").log("x") for n, assets in enumerate((one, two) * 4)]
        threads = [threading.Thread(target=log.append, args=("a",)) for log in logs]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        found = Catalog(one.store).query_assets(kind="log")
        assert len(found) == 1
        assert len(logs[0].tail(100) + logs[1].tail(100)) >= 8


async def test_tasks_of_a_run_append_to_one_log(tmp_path: Path) -> None:
    wf = trouper.Workflow()

    @wf.task
    async def first(ctx: trouper.TaskContext) -> None:
        ctx.log("train").append("first")

    @wf.task(depends_on="first")
    def second(ctx: trouper.TaskContext) -> None:
        ctx.log("train").append("second, in a thread")

    with workspace(tmp_path) as place:
        (await execute(wf, place.run())).unwrap()
        path = place.run().path / "logs/train.log"
        assert path.read_text() == "first\nsecond, in a thread\n"


# -- follow ---------------------------------------------------------------------------------------


async def test_follow_gives_what_there_is_and_what_comes(
    log: Log, autojump_clock: MockClock
) -> None:
    log.append("before")
    got: list[str] = []

    async def follow() -> None:
        async for line in log.follow():
            got.append(line)  # noqa: PERF401  # it never ends, so nothing would be seen of it

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await trio.sleep(1)
        assert got == ["before"]
        log.append("after")
        await trio.sleep(1)
        assert got == ["before", "after"]
        nursery.cancel_scope.cancel()


async def test_follow_ends_when_no_more_comes(log: Log, autojump_clock: MockClock) -> None:
    is_over = False
    got: list[str] = []

    async def follow() -> None:
        got.extend([line async for line in log.follow(is_over=lambda: is_over)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await trio.sleep(1)
        log.append("last")
        is_over = True
    assert got == ["last"]


def test_follow_in_sync_code(log: Log) -> None:
    looks = 0

    def is_over() -> bool:
        nonlocal looks
        looks += 1
        if looks == 2:
            log.append("b")
        return looks > 2

    log.append("a")
    assert list(log.follow(is_over=is_over, poll=0.001)) == ["a", "b"]


def test_follow_goes_on_in_a_file_that_was_begun_anew(log: Log) -> None:
    follow = iter(log.follow(poll=0.001))
    log.append("a long line of before")
    assert next(follow) == "a long line of before"
    log.flush()
    log._buffer.path.write_text("new\n")
    assert next(follow) == "new"


# -- trouble --------------------------------------------------------------------------------------


def test_half_a_line_of_a_killed_process_is_cut_off(tmp_path: Path) -> None:
    with run_assets(tmp_path) as assets:
        log = context_of(assets).log("train")
        log.append("whole")
    path = log._buffer.path
    with path.open("a") as file:
        file.write("hal")
    with run_assets(tmp_path) as assets:
        log = context_of(assets).log("train")
        assert log.tail() == ["whole"]
        log.append("next")
        assert log.tail() == ["whole", "next"]


def test_a_full_disk_is_told_and_lines_are_kept(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    log.append("a")
    log.flush()
    with monkeypatch.context() as patch:
        patch.setattr(_append, "write_all", full)
        log._lines.append("b")
        with pytest.raises(trouper.AssetsFull, match="free some space"):
            log.flush()
        with pytest.raises(trouper.AssetsFull, match="free some space"):
            log.append("c")
    log.append("d")
    assert log.tail() == ["a", "b", "c", "d"]


def test_the_writer_tries_again(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append("a")
    log.flush()
    monkeypatch.setattr(_append, "write_all", lambda _fd, _data: os.write(-1, b""))
    log._lines.append("b")
    assert not _log_buffer.flush_all()
    monkeypatch.undo()
    assert _log_buffer.flush_all()
    assert log.tail() == ["a", "b"]


def test_many_lines_at_once_are_bounded(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log_buffer, "MOST_WAITING", 10)
    monkeypatch.setattr(_log_buffer._writer, "rouse", lambda: None)
    for number in range(100):
        log._buffer.is_awake = False
        log.append(str(number))
        assert len(log._lines) < 10
    assert log.tail(1) == ["99"]


def test_lines_that_the_disk_never_takes_are_bounded(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_log_buffer, "_MOST_KEPT", 3)
    monkeypatch.setattr(_append, "write_all", lambda _fd, _data: os.write(-1, b""))
    for number in range(6):
        with pytest.raises(trouper.AssetError, match="look after the disk"):
            log.append(str(number))
    monkeypatch.undo()
    assert log.tail() == ["0", "1", "2"]


def test_a_forked_child_leaves_the_parents_lines_alone(log: Log) -> None:
    log.append("parent")
    pid = os.fork()
    if not pid:
        log.append("child")
        log.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert sorted(log) == ["child", "parent"]


async def test_it_costs_the_same_in_a_long_log(log: Log) -> None:
    """O(1): what is done for each line does not depend on how many there are."""
    for _ in range(20_000):
        log.append("x")
    assert len(log._lines) <= 20_000
    assert log.tail(1) == ["x"]
    assert log._lines == []
