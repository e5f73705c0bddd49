"""The journal: whole entries only, callers and callees, and who is blamed for a death."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trouper.runtime.store._errors import StoreError
from trouper.runtime.workspace._journal import (
    Journal,
    continue_journal,
    earlier_journals,
    journal_at,
    make_journal,
    read_journal,
)


def written(root: Path) -> Path:
    """Write of an action that calls two; the second goes on."""
    journal = make_journal(root, 1, 1)
    root_action = journal.begins(0, "root", "root", None)
    first = journal.begins(root_action, "root/a-1", "a", b"1")
    journal.ends(first, b"one")
    journal.begins(root_action, "root/a-2", "a", b"2")
    journal.close()
    return journal.path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    story = read_journal(written(tmp_path))
    told = {
        each.name: (each.parent, each.has_ended, each.output) for each in story.actions.values()
    }
    assert told == {
        "root": (0, False, None),
        "root/a-1": (1, True, b"one"),
        "root/a-2": (1, False, None),
    }
    assert [each.name for each in story.suspects()] == ["root/a-2"]


def test_an_entry_that_was_cut_off_never_was(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    seen = set[int]()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        story = read_journal(path)
        assert story.length <= length
        seen.add(len(story.actions))
    assert seen == {0, 1, 2, 3}


@given(st.binary(max_size=12))
def test_a_torn_end_is_cut_off_before_it_goes_on(end: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder))
        torn = len(end).__add__(1).to_bytes(4, "little") + end  # one byte is missing
        path.write_bytes(path.read_bytes() + torn)
        journal, story = continue_journal(path, journal_at(Path(folder), 1, 2))
        assert len(story.actions) == 3
        again = journal.begins(1, "root/b-1", "b", None)
        journal.ends(again, b"two")
        journal.close()
        names = [each.name for each in read_journal(journal.path).actions.values()]
        assert names == ["root", "root/a-1", "root/a-2", "root/b-1"]


def test_each_death_is_counted_where_it_happened(tmp_path: Path) -> None:
    path = written(tmp_path)
    for execution in (2, 3):
        journal, story = continue_journal(path, journal_at(tmp_path, 1, execution))
        path = journal.path
        assert story.actions[3].blamed == execution - 1
        assert story.actions[1].blamed == 0
        journal.close()
    assert earlier_journals(tmp_path, 1) == [path]


def test_a_new_attempt_makes_void_what_the_last_one_called(tmp_path: Path) -> None:
    path = written(tmp_path)
    journal, _ = continue_journal(path, journal_at(tmp_path, 1, 2))
    journal.begins(0, "root", "root", None, number=1)
    below = journal.begins(3, "root/a-2/b-1", "b", None)
    journal.ends(below, b"deep")
    journal.again(1)
    journal.ends(below, b"late")  # an action of the attempt that is void
    journal.close()
    assert [each.name for each in read_journal(journal.path).actions.values()] == ["root"]


def test_a_journal_that_cannot_be_continued_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the journal .* can't be made: No such file"):
        continue_journal(tmp_path / "1", journal_at(tmp_path, 1, 2))


def test_what_cannot_be_blamed_leaves_no_open_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)

    def refuse(_journal: Journal, _number: int) -> None:
        raise StoreError("full")

    monkeypatch.setattr(Journal, "blame", refuse)
    with pytest.raises(StoreError, match="full"):
        continue_journal(path, journal_at(tmp_path, 1, 2))


def test_there_are_no_journals_of_a_run_that_never_was(tmp_path: Path) -> None:
    assert earlier_journals(tmp_path, 1) == []
    journal = make_journal(tmp_path, 1, 1)
    other = make_journal(tmp_path, 1, 2)
    journal.remove()
    assert list(earlier_journals(tmp_path, 1)) == [other.path]
    make_journal(tmp_path, 11, 1).close()  # of another run
    assert list(earlier_journals(tmp_path, 1)) == [other.path]
    other.remove()
    assert earlier_journals(tmp_path, 1) == []
