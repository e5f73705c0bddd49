"""`examples/monitoring/log_tail.py`: no line lost or doubled, whatever is done to the log."""

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it has no annotations
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.programs import load_program

log_tail = load_program("monitoring.log_tail")


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> Path:
    return tmp_path / "some.log"


@pytest.fixture(name="tail")
def _tail(log: Path) -> Iterator[Any]:
    with closing(log_tail.LogTail(log, linger=0.0)) as tail:
        yield tail


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


def poll_all(tail: Any) -> list[str]:
    found: list[str] = []
    while lines := tail.poll():
        found += lines
    return found


def test_what_is_there_already_is_old(log: Path, tail: Any) -> None:
    append(log, "old\nha")
    assert poll_all(tail) == []
    append(log, "lf\nnew\r\n")
    assert poll_all(tail) == ["lf", "new"]


def test_a_file_that_is_not_there_yet_is_read_from_its_start(log: Path, tail: Any) -> None:
    assert poll_all(tail) == []
    append(log, "first\n")
    assert poll_all(tail) == ["first"]


def test_a_line_comes_when_it_ends(log: Path, tail: Any) -> None:
    poll_all(tail)
    append(log, "one ")
    assert poll_all(tail) == []
    append(log, "line\n")
    assert poll_all(tail) == ["one line"]


def test_rename_and_recreate_between_two_looks(log: Path, tail: Any) -> None:
    poll_all(tail)
    append(log, "a\n")
    assert poll_all(tail) == ["a"]
    append(log, "b\nhalf")
    log.rename(log.with_suffix(".1"))
    append(log, "c\n")
    assert poll_all(tail) == ["b", "half", "c"]


def test_a_writer_that_did_not_notice_the_rename_is_heard(log: Path) -> None:
    with closing(log_tail.LogTail(log, linger=60.0)) as tail, log.open("a") as writer:
        poll_all(tail)
        log.rename(log.with_suffix(".1"))
        append(log, "new\n")
        assert poll_all(tail) == ["new"]
        writer.write("late\n")
        writer.flush()
        assert poll_all(tail) == ["late"]


def test_truncated_and_written_again(log: Path, tail: Any) -> None:
    poll_all(tail)
    append(log, "long enough\nhalf")
    assert poll_all(tail) == ["long enough"]
    log.write_text("again\n")
    assert poll_all(tail) == ["half", "again"]


def test_what_is_no_text_is_shown_and_drives_no_terminal(log: Path, tail: Any) -> None:
    poll_all(tail)
    log.write_bytes(b"\xff\x1b[2J\x00\n\xc2\x9b31m\n\xe2\x80\xae\n")
    assert poll_all(tail) == ["\ufffd\\x1b[2J\\x00", "\\x9b31m", "\\u202e"]


def test_a_line_without_end_is_cut(log: Path, tail: Any) -> None:
    poll_all(tail)
    append(log, "x" * 1_000_000 + "\nshort\n")
    lines: list[str] = []
    for _ in range(10):  # a look that only goes on with the line gives none
        lines += tail.poll()
    assert [len(line) for line in lines] == [log_tail.LONGEST, 5]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_refused_without_waiting(log: Path, tail: Any, make: Any) -> None:
    make(log)
    with pytest.raises(OSError, match=r"directory|is no regular file"):
        tail.poll()


def test_closed_during_a_look_in_another_thread_it_leaves_no_file_open(
    log: Path, tail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X6: the run ended while the thread was stuck; the fixture of all tests looks for the file."""
    append(log, "old\n")
    read = log_tail.Followed.skip

    def close_meanwhile(followed: Any) -> None:
        thread = threading.Thread(target=tail.close)
        thread.start()
        thread.join()
        read(followed)

    monkeypatch.setattr(log_tail.Followed, "skip", close_meanwhile)
    assert tail.poll() == []
    assert str(log) not in [file.path for file in psutil.Process().open_files()]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["append", "begin", "rename", "remove", "truncate", "look"]),
        st.text("ab é\x85", max_size=5),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_each_line_comes_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    """Looks come at any time, but between two of them there is at most one rotation."""
    log = tmp_path_factory.mktemp("tail") / "some.log"
    written: list[str] = []
    begun, found = "", list[str]()
    with closing(log_tail.LogTail(log, linger=0.0)) as tail:
        found += poll_all(tail)
        for number, (step, text) in enumerate(steps):
            if step == "append":
                append(log, f"{text}{number}\n")
                written.append(f"{begun}{text}{number}")
                begun = ""
            elif step == "begin":
                append(log, f"{number}")
                begun += f"{number}"
            elif step in ("rename", "remove", "truncate") and log.exists():
                found += poll_all(tail)
                if step == "rename":
                    log.rename(log.with_suffix(f".{number}"))
                elif step == "remove":
                    log.unlink()
                else:
                    os.truncate(log, 0)
                    found += poll_all(tail)
                written += [begun] if begun else []
                begun = ""
            else:
                found += poll_all(tail)
        found += poll_all(tail)
        append(log, "last\n")  # the old file is let go at the latest when there is a new one
        written.append(f"{begun}last")
        for _ in range(3):
            found += poll_all(tail)
    assert found == [line.replace("\x85", "\\x85") for line in written]
