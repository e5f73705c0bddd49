"""A journal that is done with is the next one's file: with nothing in it, and nobody else's."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from trouper.errors import StoreError, StoreReadOnly
from trouper.runtime.workspace._blank_journals import BlankJournals, sweep_blanks
from trouper.runtime.workspace._journal import FOLDER, Journal, read_journal


@pytest.fixture
def blanks(tmp_path: Path) -> Iterator[BlankJournals]:
    made = BlankJournals(tmp_path)
    yield made
    made.close()


def written(journal: Journal, name: str) -> Journal:
    journal.ends(journal.begins(0, name, "task", b"key"), b"secret output")
    return journal


def files(root: Path) -> list[Path]:
    return list((root / FOLDER).iterdir())


def names_in(journal: Journal) -> list[str]:
    return [each.name for each in read_journal(journal.path).actions.values()]


def test_the_next_one_gets_the_file_with_nothing_in_it(
    tmp_path: Path, blanks: BlankJournals
) -> None:
    journal = written(blanks.make(1, 1), "one")
    number = journal.path.stat().st_ino
    blanks.take_back(journal)
    (kept,) = files(tmp_path)
    assert (kept.stat().st_ino, set(kept.read_bytes())) == (number, {0})
    after = written(blanks.make(1, 2), "two")
    assert files(tmp_path) == [after.path]
    assert (after.path.stat().st_ino, names_in(after)) == (number, ["two"])
    with pytest.raises(StoreError):  # by a thread that was left behind, say
        journal.begins(0, "late", "task", None)
    # One is enough.
    both = [after, blanks.make(1, 3)]
    for each in both:
        blanks.take_back(each)
    assert len(files(tmp_path)) == 1
    blanks.close()
    assert files(tmp_path) == []


def test_it_grows_as_any_other(
    tmp_path: Path, blanks: BlankJournals, monkeypatch: pytest.MonkeyPatch
) -> None:
    blanks.take_back(written(blanks.make(1, 1), "one"))
    journal = blanks.make(1, 2)
    for n in range(2_000):
        written(journal, f"{n}")
    assert len(names_in(journal)) == 2_000
    blanks.take_back(journal)  # too large to be kept
    assert files(tmp_path) == []
    blanks.take_back(blanks.make(1, 3))  # nothing was ever written
    assert files(tmp_path) == []


def test_what_lies_in_the_way_is_not_written_over(tmp_path: Path, blanks: BlankJournals) -> None:
    blanks.take_back(written(blanks.make(1, 1), "one"))
    (tmp_path / FOLDER / "1.2").write_text("somebody's")
    with pytest.raises(StoreReadOnly, match="File exists"):
        blanks.make(1, 2)
    assert (tmp_path / FOLDER / "1.2").read_text() == "somebody's"


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path, blanks: BlankJournals) -> None:
    for execution, remove in enumerate((True, True, False), 1):
        journal = written(blanks.make(1, execution), "one")
        assert names_in(journal) == ["one"]
        if remove and execution == 2:
            shutil.rmtree(tmp_path / FOLDER)
        blanks.take_back(journal)
        if remove and execution == 1:
            shutil.rmtree(tmp_path / FOLDER)
    assert len(files(tmp_path)) == 1


def test_a_forked_process_leaves_that_of_its_parent_alone(
    tmp_path: Path, blanks: BlankJournals, monkeypatch: pytest.MonkeyPatch
) -> None:
    blanks.take_back(written(blanks.make(1, 1), "one"))
    (kept,) = files(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1)
        journal = blanks.make(1, 2)
    assert journal.path.stat().st_ino != kept.stat().st_ino
    assert kept.exists()
    journal.remove()


def test_those_of_processes_that_died_are_swept(
    tmp_path: Path, blanks: BlankJournals, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_blanks(tmp_path)  # there is no such folder yet
    blanks.take_back(written(blanks.make(1, 1), "one"))
    mine = files(tmp_path)

    def kill(pid: int, signal: int) -> None:
        assert signal == 0
        if pid == 4:
            raise PermissionError(1, "another user's")
        if pid != os.getpid():
            raise ProcessLookupError(3, "dead")

    monkeypatch.setattr(os, "kill", kill)
    for name in ("blank.3.1", "blank.4.1", "blank.x.1", "1.1"):
        (tmp_path / FOLDER / name).touch()
    sweep_blanks(tmp_path)
    assert sorted(each.name for each in files(tmp_path)) == sorted(
        [*(each.name for each in mine), "blank.4.1", "1.1"]
    )
