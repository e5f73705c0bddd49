"""`examples/offset_source.py` and `examples/poison_message.py`: what is said is what happens."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trouper
from harness.programs import load_program, run_program

offset_source = load_program("offset_source")


def copied(target: Path) -> Counter[str]:
    return Counter(target.read_text().splitlines())


@pytest.mark.parametrize("crash_after", [1, 50, 100])
def test_no_line_is_lost_by_a_crash(tmp_path: Path, crash_after: int) -> None:
    """V2, X12: the offset is never beyond what was written; the next run does the rest."""
    lines = [f"line {n}" for n in range(100)]
    (tmp_path / "from").write_text("".join(f"{line}\n" for line in lines))
    offset = tmp_path / "to.offset"

    crashed = run_program(
        "offset_source.py", "from", "to", "--crash-after", str(crash_after), cwd=tmp_path
    )
    assert (crashed.returncode, crashed.stderr) == (offset_source.CRASHED, b"")
    done = int(offset.read_text()) if offset.exists() else 0
    written = copied(tmp_path / "to")
    assert sum(written.values()) == crash_after
    assert done < crash_after  # the last one was in hand
    assert set(lines[:done]) <= set(written)

    ended = run_program("offset_source.py", "from", "to", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert set(copied(tmp_path / "to")) == set(lines)
    assert offset.read_text() == "100"

    run_program("offset_source.py", "from", "to", cwd=tmp_path)
    assert sum(copied(tmp_path / "to").values()) == 100 + crash_after - done


def test_shows_its_crash(tmp_path: Path) -> None:
    ended = run_program("offset_source.py", cwd=tmp_path)
    first, second, last = ended.stdout.decode().splitlines()
    assert first.startswith("the first run ended with 9, its offset is ")
    assert second == "the second run ended, its offset is 100"
    assert last == "100 of 100 lines were copied, 0 lost"
    assert (ended.stderr, ended.returncode) == (b"", 0)


def test_one_file_is_not_enough(tmp_path: Path) -> None:
    ended = run_program("offset_source.py", "from", cwd=tmp_path)
    assert ended.returncode == 2
    assert b"name the file TO copy to as well" in ended.stderr


def test_an_empty_file_has_nothing_to_copy(tmp_path: Path) -> None:
    (tmp_path / "from").write_text("")
    result = trouper.run(offset_source.copying(tmp_path / "from", tmp_path / "to"))
    assert result.ok
    assert (tmp_path / "to").read_text() == ""
    assert not (tmp_path / "to.offset").exists()


@given(order=st.permutations(range(8)), missing=st.integers(0, 8))
def test_the_offset_moves_over_no_gap(
    order: list[int], missing: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """V3: in whatever order messages get done."""
    file = tmp_path_factory.mktemp("offset") / "offset"
    offset = offset_source.Offset(file)
    noted: set[int] = set()
    for number in order:
        if number == missing:
            continue
        offset.note(number)
        noted.add(number)
        assert offset.done == next(n for n in range(9) if n not in noted)
        assert offset_source.Offset(file).done == offset.done


def test_a_poison_message_is_put_back_after_a_fix(tmp_path: Path) -> None:
    """D1: its history is told, and nothing is left."""
    ended = run_program("poison_message.py", cwd=tmp_path)
    assert ended.stdout.decode().splitlines() == [
        "paid so far: 9.10 for 3 orders",
        "till gave up 'cake 2,90' (max_attempts)",
        "  attempt 1: ValueError: could not convert string to float: '2,90'",
        "  attempt 2: ValueError: could not convert string to float: '2,90'",
        "after the fix 1 order was put back",
        "paid in the end: 12.00 for 4 orders",
        "dead letters left: 0",
    ]
    assert ended.returncode == 0
