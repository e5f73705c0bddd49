"""A disk that takes no more while a run goes on: `failed`, with all kept that was finished."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from trouper.errors import StoreError, StoreFull
from trouper.runtime.store._connections import Connections
from trouper.runtime.workspace import _journal
from trouper.runtime.workspace._journal import Journal, read_journal

env = trouper.TaskEnvironment("full")


@env.task
async def small(n: int) -> int:
    return n


class Disk:
    """Gives the journal no more room, from the moment that it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = False
        self._reserve = _journal._reserve
        monkeypatch.setattr(_journal, "_ROOM", 1)
        monkeypatch.setattr(_journal, "_reserve", self.reserve)

    def reserve(self, descriptor: int, start: int, size: int) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._reserve(descriptor, start, size)


def test_a_full_disk_ends_the_run_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    reached: list[str] = []

    @trouper.TaskEnvironment("filled").task
    async def fills() -> None:
        await small(1)
        disk.is_full = True
        try:
            for n in range(1_000):  # until there is no room left
                await small(n)
            await trio.sleep_forever()
        finally:
            reached.append("finally")

    with pytest.raises(StoreFull, match=r"What was finished before is kept"):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(fills)
    assert reached == ["finally"]
    run = trouper.Workspace(tmp_path).find_run("r")
    assert (run.phase, run.executions()[0].error_code) == ("failed", "StoreFull")
    told = {each.name: each.phase for each in run.actions().walk()}
    assert told["fills/small-1"] == "completed"
    disk.is_full = False

    @trouper.TaskEnvironment("emptied").task(name="fills")
    async def goes_on() -> int:
        return await small(1)

    assert trouper.recover("r", goes_on, workspace=tmp_path).outputs() == (1,)


def test_a_full_database_ends_the_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is in memory; that the end is not on record is no secret."""

    def refuse(*_: Any) -> Any:
        raise StoreFull("the database is full")

    @env.task(name="noisy")
    async def noisy() -> None:
        monkeypatch.setattr(Connections, "writing", refuse)
        await small(1)
        await trio.sleep_forever()

    runner = trouper.with_runcontext(name="r", workspace=tmp_path)
    with pytest.raises(StoreFull, match="the database is full"):
        runner.run(noisy)
    monkeypatch.undo()
    assert trouper.Workspace(tmp_path).find_run("r").phase == "running"


def test_a_workflow_says_so_in_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    wf = trouper.Workflow("graph")

    @wf.task
    async def one() -> int:
        return 1

    @wf.task(depends_on="one")
    async def two(one: int) -> int:
        disk.is_full = True
        return one + sum([await small(n) for n in range(1_000)])

    result = trouper.run(wf, workspace=tmp_path)
    assert (result.status, type(result.error)) == ("failed", StoreFull)
    assert result.outputs["one"] == 1
    [run] = trouper.Workspace(tmp_path).runs()
    assert run.phase == "failed"


def test_a_journal_that_cannot_be_made_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "journals").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"the journal .* can't be made"):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(small, 1)
    run = trouper.Workspace(tmp_path).find_run("r")
    assert (run.phase, run.executions()[0].error_code) == ("failed", "StoreReadOnly")


def test_what_is_over_the_bound_of_a_journal_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trouper.runtime.workspace._journal.MOST_BYTES", 2_000)
    calls: list[int] = []

    @env.task(name="large")
    async def large(n: int) -> list[int]:
        calls.append(n)
        return list(range(n))

    @env.task(name="both")
    async def both() -> int:
        total = len(await large(10)) + len(await large(5_000))
        if len(calls) == 2:
            raise OSError
        return total

    with pytest.raises(trouper.errors.RuntimeUserError):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(both)
    assert trouper.recover("r", both, workspace=tmp_path).outputs() == (5_010,)
    assert calls == [10, 5_000, 5_000]


def test_a_journal_may_be_closed_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, os.open(path, os.O_CREAT | os.O_RDWR))
    journal.remove()
    journal.close()
    assert not path.exists()


def test_where_the_system_reserves_no_room_zeros_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    path = tmp_path / "journal"
    journal = Journal(path, os.open(path, os.O_CREAT | os.O_RDWR))
    for n in range(10_000):
        journal.begins(0, f"action-{n}", "task", None)
    journal.close()
    assert len(read_journal(path).actions) == 10_000
    assert path.stat().st_size == read_journal(path).length
