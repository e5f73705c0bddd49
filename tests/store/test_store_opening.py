"""The database: made, opened, refused; its rights, its versions, several processes at once."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apsw
import pytest

from harness.stores import child, go, line, new_run, open_at, told
from trouper.runtime.store import _schema
from trouper.runtime.store._errors import (
    NewerSchema,
    NoWorkspace,
    StoreBusy,
    StoreClosed,
    StoreDamaged,
    StoreError,
    StoreReadOnly,
)
from trouper.runtime.store._schema import MIGRATIONS
from trouper.runtime.store._translation import translated


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with open_at(tmp_path / "ws") as store:
            store.runs.claim(new_run())
            assert mode(tmp_path / "ws") == 0o700
            files = sorted(each.name for each in (tmp_path / "ws").iterdir())
            assert files == ["trouper.db", "trouper.db-shm", "trouper.db-wal"]
            assert {mode(each) for each in (tmp_path / "ws").iterdir()} == {0o600}
    finally:
        os.umask(before)
    assert [each.name for each in (tmp_path / "ws").iterdir()] == ["trouper.db"]


def test_the_rights_of_a_folder_that_is_there_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir(mode=0o750)
    open_at(tmp_path / "ws").close()
    assert mode(tmp_path / "ws") == 0o750


def test_what_was_written_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with open_at(tmp_path) as store:
        store.results.set(store.runs.claim(new_run()), "loss", 0.5)
    with open_at(tmp_path) as store:
        assert store.results.all(store.runs.get("run-1").run) == {"loss": 0.5}


@pytest.mark.parametrize(("durability", "synchronous"), [("normal", 1), ("full", 2)])
def test_the_switch_of_durability_reaches_sqlite(
    tmp_path: Path, durability: Any, synchronous: int
) -> None:
    with open_at(tmp_path, durability=durability) as store:
        db = store.connections.get()
        assert db.pragma("synchronous") == synchronous
        assert db.pragma("journal_mode") == "wal"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"durability": "none"}, "durability can't be 'none'; 'normal' survives"),
        ({"busy_timeout": -1}, "busy_timeout must be 0 s or more, got -1"),
        ({"max_bytes": 10}, "max_bytes must be at least 1 MiB"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_made(
    tmp_path: Path, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        open_at(tmp_path / "ws", **options)
    assert not (tmp_path / "ws").exists()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    open_at(tmp_path).close()
    db = apsw.Connection(str(tmp_path / "trouper.db"))
    db.pragma("user_version", len(MIGRATIONS) + 3)
    db.close()
    before = (tmp_path / "trouper.db").read_bytes()
    with pytest.raises(NewerSchema, match=rf"has schema {len(MIGRATIONS) + 3}.*Upgrade trouper"):
        open_at(tmp_path)
    with pytest.raises(NewerSchema, match=r"Upgrade trouper"):
        open_at(tmp_path, read_only=True)
    assert (tmp_path / "trouper.db").read_bytes() == before


def test_an_older_schema_is_brought_up_and_keeps_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_at(tmp_path) as store:
        store.runs.claim(new_run())
    later = (*MIGRATIONS, "CREATE TABLE extra (a INTEGER) STRICT; INSERT INTO extra VALUES (1);")
    monkeypatch.setattr(_schema, "MIGRATIONS", later)
    for _ in range(2):  # the second time there is nothing to do
        with open_at(tmp_path) as store:
            assert store.runs.get("run-1").number == 1
            assert store.connections.get().execute("SELECT a FROM extra").fetchall() == [(1,)]
            assert store.connections.get().pragma("user_version") == len(later)


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_at(tmp_path).close()
    later = (*MIGRATIONS, "CREATE TABLE extra (a INTEGER); SELECT no_such_function();")
    with monkeypatch.context() as patch:
        patch.setattr(_schema, "MIGRATIONS", later)
        with pytest.raises(StoreError, match="no_such_function"):
            open_at(tmp_path)
    with open_at(tmp_path) as store:
        tables = store.connections.get().execute("SELECT name FROM sqlite_schema").fetchall()
        assert ("extra",) not in tables


def test_the_database_of_another_program_is_not_touched(tmp_path: Path) -> None:
    db = apsw.Connection(str(tmp_path / "trouper.db"))
    db.execute("CREATE TABLE theirs (a)")
    db.close()
    before = (tmp_path / "trouper.db").read_bytes()
    with pytest.raises(NoWorkspace, match="is the database of another program"):
        open_at(tmp_path)
    assert (tmp_path / "trouper.db").read_bytes() == before


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "trouper.db").write_bytes(b"this is a text file, and not a short one" * 100)
    with pytest.raises(StoreDamaged, match="is no sound SQLite database; move it away"):
        open_at(tmp_path)


def test_a_place_that_can_hold_no_workspace_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreReadOnly, match=r"file' is a file; name a folder"):
        open_at(tmp_path / "file")
    with pytest.raises(StoreReadOnly, match="lies below a file; name another folder"):
        open_at(tmp_path / "file" / "deep" / "er")
    (tmp_path / "ws" / "trouper.db").mkdir(parents=True)
    with pytest.raises(StoreReadOnly, match="is a folder; the database can't be there"):
        open_at(tmp_path / "ws")
    with pytest.raises(StoreReadOnly, match=r"can't be made: File name too long; check"):
        open_at(tmp_path / ("n" * 300))


def test_a_folder_that_is_no_workspace_is_refused_when_none_shall_be_made(tmp_path: Path) -> None:
    with pytest.raises(NoWorkspace, match=r"there is no workspace at .*; give the folder"):
        open_at(tmp_path, create=False)
    with pytest.raises(NoWorkspace, match=r"there is no workspace at .*; give the folder"):
        open_at(tmp_path, read_only=True)
    (tmp_path / "trouper.db").touch()
    with pytest.raises(NoWorkspace, match="is empty; nothing was ever recorded there"):
        open_at(tmp_path, read_only=True)
    assert [each.name for each in tmp_path.iterdir()] == ["trouper.db"]


def test_read_only_reads_beside_a_writer_and_writes_nothing(tmp_path: Path) -> None:
    with open_at(tmp_path) as store, open_at(tmp_path, read_only=True) as reader:
        store.runs.claim(new_run())
        assert reader.runs.get("run-1").phase == "running"
        with pytest.raises(StoreReadOnly, match="may not be written; check the rights"):
            reader.runs.claim(new_run("run-2"))


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    store.close()
    store.close()
    with pytest.raises(StoreClosed, match="was closed; open it again"):
        store.runs.get("run-1")


@pytest.fixture
def for_all() -> Iterator[Path]:
    """A folder that a process without rights can go to."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


WITHOUT_RIGHTS = """
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    open_store(root)
except errors.StoreReadOnly as error:
    say(error)
try:
    with open_store(root, read_only=True) as store:
        say(store.runs.get("run-1").phase)
except errors.StoreReadOnly as error:
    say(error)
"""


def test_a_folder_that_may_not_be_written_is_told_and_read(for_all: Path) -> None:
    ws = for_all / "ws"
    with open_at(ws) as store:
        store.runs.finish(store.runs.claim(new_run()), "completed")
    (ws / "trouper.db").chmod(0o444)
    ws.chmod(0o555)
    with child(WITHOUT_RIGHTS, ws) as process:
        refused, phase = told(process)
    assert "check" in refused
    assert phase == "completed"
    with child(WITHOUT_RIGHTS, ws / "new") as process:
        refused, absent = line(process), process.communicate()[0]
    assert "can't be made: Permission denied; check the rights" in refused
    assert absent == ""  # there is no workspace: another error, and the process said nothing
    ws.chmod(0o700)


COUNT = """
wait()
with open_store(root) as store:
    claim = store.start(NewRun(name=f"run-{sys.argv[2]}", target="t"))
    for n in range(50):
        store.results.set(claim, f"key-{n}", n)
        store.recorder.record(ActionRecord(execution=claim.execution, name=f"a-{n}", started=0.0))
    store.recorder.flush()
    store.runs.finish(claim, "completed")
"""


def test_eight_processes_that_make_and_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """F14: four runs kept 27 of 60 rows there."""
    with ExitStack() as stack:
        processes = [stack.enter_context(child(COUNT, tmp_path / "ws", n)) for n in range(8)]
        for process in processes:
            go(process)
        for process in processes:
            told(process)
    with open_at(tmp_path / "ws") as store:
        runs = store.runs.query()
        assert sorted(each.name for each in runs) == [f"run-{n}" for n in range(8)]
        assert {each.phase for each in runs} == {"completed"}
        for run in runs:
            assert store.results.all(run.run) == {f"key-{n}": n for n in range(50)}
            assert len(store.actions.of(run.execution)) == 50


class Overtaken:
    """A connection whose file gets its tables from elsewhere when it has read one thing."""

    def __init__(self, path: Path, after: str) -> None:
        self._path = path
        self._after = after
        self._db = apsw.Connection(str(path))
        self._db.pragma("journal_mode", "wal")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def pragma(self, *args: Any) -> Any:
        found = self._db.pragma(*args)
        if args == (self._after,):
            other: Any = apsw.Connection(str(self._path))
            _schema.migrate(other, self._path)
            other.close()
        return found


@pytest.mark.parametrize("after", ["user_version", "application_id"])
def test_tables_that_are_made_during_the_first_look_are_no_other_programs(
    tmp_path: Path, after: str
) -> None:
    """F14: seen once in hundreds of starts of eight processes, on a machine with much to do."""
    db: Any = Overtaken(tmp_path / "trouper.db", after)
    assert _schema.check_version(db, tmp_path / "trouper.db") == 0
    assert _schema.check_version(db, tmp_path / "trouper.db") == len(MIGRATIONS)
    assert not db.in_transaction
    db.close()


def test_threads_have_connections_of_their_own_and_lose_nothing(tmp_path: Path) -> None:
    with open_at(tmp_path) as store:
        claim = store.runs.claim(new_run())

        def work(number: int) -> None:
            for n in range(20):
                store.results.set(claim, f"{number}-{n}", n)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.results.all(claim.run)) == 120


FORK = """
store = open_store(root)
claim = store.start(NewRun(name="parent", target="t"))
pid = os.fork()
if pid == 0:
    store.results.set(claim, "child", 1)
    own = store.start(NewRun(name="child", target="t"))
    store.recorder.record(ActionRecord(execution=own.execution, name="a", started=0.0))
    store.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
store.results.set(claim, "parent", 2)
say(sorted(store.results.all(claim.run)))
say(len(store.actions.of(store.runs.get("child").execution)))
say(store.runs.get("parent").phase, store.runs.get("child").phase)
store.close()
"""


def test_a_forked_child_has_connections_of_its_own(tmp_path: Path) -> None:
    with child(FORK, tmp_path) as process:
        assert told(process) == ["['child', 'parent']", "1", "running failed"]
    with open_at(tmp_path) as store:
        assert store.connections.get().pragma("integrity_check") == "ok"


def test_each_word_of_sqlite_has_one_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "trouper.db"
    told_as = {
        apsw.BusyError: "raise storage.busy_timeout",
        apsw.FullError: "is full; free some space",
        apsw.CorruptError: "is no sound SQLite database",
        apsw.ConnectionClosedError: "was closed",
        apsw.MisuseError: "failed: MisuseError: why",
    }
    for kind, words in told_as.items():
        assert words in str(translated(kind("why"), path))


def test_a_database_that_another_process_holds_is_told(tmp_path: Path) -> None:
    with open_at(tmp_path, busy_timeout=0) as store:
        holder = apsw.Connection(str(store.path))
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match=r"was written by other processes all the time; try"):
            store.runs.claim(new_run())
        assert store.runs.query() == []  # who reads need not wait
        holder.execute("ROLLBACK")
        holder.close()
        assert store.runs.claim(new_run()).number == 1


@pytest.mark.parametrize("how", ["writing", "reading"])
def test_what_is_interrupted_leaves_no_transaction(tmp_path: Path, how: str) -> None:
    with open_at(tmp_path) as store:
        claim = store.runs.claim(new_run())
        with pytest.raises(KeyboardInterrupt), getattr(store.connections, how)() as db:
            if how == "writing":
                db.execute("DELETE FROM execution")
            raise KeyboardInterrupt
        store.runs.finish(claim, "completed")


def test_trouper_is_imported_without_the_database_and_yaml() -> None:
    heavy = "{'apsw', 'ruamel.yaml', 'cyclopts', 'rich'}"
    code = f"import sys, trouper; trouper.Workflow; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_many_threads_make_one_database(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait(60)
        with open_at(tmp_path / "ws") as store:
            store.runs.finish(store.runs.claim(new_run(f"run-{number}")), "completed")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_at(tmp_path / "ws") as store:
        assert len(store.runs.query()) == 8
        assert store.connections.get().pragma("integrity_check") == "ok"
