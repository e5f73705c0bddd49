"""`trouper dead-letters`, `trouper run --dead-letters` and `--redeliver`."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trouper
from harness.command import COMMAND, PATIENCE, trouper_command, write
from trouper.channels._fan_in import Joined
from trouper.runtime import _cli_dead_letters
from trouper.runtime._dead_letter_file import read_letters, record_of, write_letters

__all__ = ["trouper_command"]
Call = Callable[..., tuple[int, str, str]]

PICKY = """
import trio, trouper
from trouper import Backoff

wf = trouper.Workflow("picky")

@wf.actor
async def source(ctx):
    for n in range(ctx.config.get("n", 5)):
        yield n

@wf.actor(depends_on="source", max_attempts=2, backoff=Backoff(min=0, max=0))
async def work(ctx):
    async for n in ctx:
        if n in ctx.config.get("bad", []):
            raise ValueError(f"{n} is bad")
        print("handled", n)
"""


def test_letters_are_kept_listed_and_put_back(trouper_command: Call, tmp_path: Path) -> None:
    """D1: through a file, into another run."""
    program, file = write(tmp_path, PICKY), tmp_path / "lost.jsonl"
    code, out, err = trouper_command(
        "run", program, "--override", "bad=[1, 3]", "--dead-letters", file
    )
    assert (code, err) == (0, "")
    assert [json.loads(line)["payload"] for line in file.read_text().splitlines()] == [1, 3]

    code, out, err = trouper_command("dead-letters", file)
    assert (code, err) == (0, "")
    first, head, one, three = out.splitlines()
    assert first == "2 dead letters"
    assert head.split() == ["node", "id", "attempt", "reason", "ago", "payload", "last", "failure"]
    assert one.split()[:4] == ["work", "source:2", "2", "max_attempts"]
    assert three.endswith("ValueError: 3 is bad")

    code, out, err = trouper_command("dead-letters", file, "--id", "source:2")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "work gave up source:2: max_attempts"
    assert out.count("ValueError: 1 is bad") == 2
    assert "  attempt 1, " in out
    assert "in work" in out

    again = ["run", program, "--redeliver", file, "--dead-letters", file, "--override", "n=0"]
    code, out, err = trouper_command(*again, "--override", "bad=[3]")
    assert (code, err) == (0, "")
    assert out.count("handled") == 1
    assert "handled 1" in out
    assert "source -> work     2  =      1     1" in out
    [left] = read_letters(file)
    assert (left.payload, [attempt.number for attempt in left.attempts]) == (3, [1, 2, 1, 2])
    assert left.id.endswith("/source:4")

    code, out, err = trouper_command(*again)
    assert (code, file.read_text()) == (0, "")
    assert trouper_command("dead-letters", file) == (0, "0 dead letters\n", "")


REFUSED: list[tuple[str, str]] = [
    ('{"node": 5}', "line 1 is no dead letter"),
    ("\n[1", "line 2 is no dead letter"),
    ("\xff\xfe", "line 1 is no dead letter"),
]


@pytest.mark.parametrize(("text", "problem"), REFUSED)
def test_a_file_of_something_else(
    trouper_command: Call, tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "lost.jsonl"
    file.write_bytes(text.encode("latin-1"))
    for words in (["dead-letters", file], ["run", write(tmp_path, PICKY), "--redeliver", file]):
        code, out, err = trouper_command(*words)
        assert (code, out) == (2, "")
        assert problem in err
        assert "give a file that `trouper run --dead-letters` has written" in err


def test_what_is_not_there(trouper_command: Call, tmp_path: Path) -> None:
    program, file = write(tmp_path, PICKY), tmp_path / "lost.jsonl"
    code, _, err = trouper_command("dead-letters", file)
    assert (code, "lost.jsonl can't be read: No such file or directory" in err) == (2, True)
    code, out, err = trouper_command("run", program, "--redeliver", file)
    assert (code, out, "check the path" in err) == (2, "", True)
    code, out, err = trouper_command("run", program, "--dead-letters", tmp_path / "no" / "file")
    assert (code, out, "choose another path" in err) == (2, "", True)
    file.write_text("")
    code, _, err = trouper_command("dead-letters", file, "--id", "x")
    assert (code, "has no dead letter 'x'; leave out --id" in err) == (2, True)


def letter(payload: Any, node: str = "work", **more: Any) -> trouper.DeadLetter:
    envelope = trouper.Envelope(payload, "source", 1, **more)
    return trouper.DeadLetter(node, envelope, "max_attempts")


class NoText:
    def __repr__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("payload", [object(), NoText(), float("nan"), {("a", 1): 2}, "x" * 5000])
def test_a_payload_that_json_can_not_hold(
    trouper_command: Call, tmp_path: Path, payload: Any
) -> None:
    """It is kept to be read, and refused before anything runs."""
    program, file = write(tmp_path, PICKY), tmp_path / "lost.jsonl"
    write_letters(file, [letter(payload)])
    code, out, err = trouper_command("dead-letters", file)
    assert (code, err) == (0, "")
    assert "source:1" in out
    code, out, err = trouper_command("run", program, "--redeliver", file, "--override", "n=0")
    if payload == "x" * 5000:
        assert (code, err) == (0, "")
        assert f"handled {payload}" in out
    else:
        assert (code, out) == (2, "")
        assert "JSON can't hold the payload of 'source:1'" in err


def test_a_process_that_reads_letters_only(tmp_path: Path) -> None:
    """It has loaded no public name, so that types must be found without them."""
    file = tmp_path / "lost.jsonl"
    cause = trouper.FailureSummary(type="OSError", message="why")
    failure = trouper.FailureSummary(type="ValueError", message="what", cause=cause)
    attempt = trouper.Attempt(number=1, at=0.0, node="work", failure=failure)
    write_letters(file, [msgspec.structs.replace(letter(1), attempts=(attempt,))])
    command = [*COMMAND, "dead-letters", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ValueError: what" in done.stdout


def test_a_letter_that_fits_nowhere(trouper_command: Call, tmp_path: Path) -> None:
    program, file = write(tmp_path, PICKY), tmp_path / "lost.jsonl"
    write_letters(file, [letter(1), letter(2, "wrok")])
    code, out, err = trouper_command("run", program, "--redeliver", file)
    assert (code, out) == (2, "")
    assert "'wrok', which is no actor of this graph; did you mean 'work'?" in err


def test_a_file_that_can_not_be_written_any_more(
    trouper_command: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, letters: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_cli_dead_letters, "write_letters", fail)
    file = tmp_path / "lost.jsonl"
    code, out, err = trouper_command("run", write(tmp_path, PICKY), "--dead-letters", file)
    assert code == 1
    assert "completed" in out
    assert "No space left on device; they are lost" in err


payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(payload=payloads, seq=st.integers(1, 10**9), text=st.text(), at=st.floats(0, 4e9))
def test_what_a_file_can_hold_comes_back(payload: Any, seq: int, text: str, at: float) -> None:
    failure = trouper.FailureSummary(type="ValueError", message=text, frames=(("f", 3, "g"),))
    attempt = trouper.Attempt(number=1, node="n", at=at, failure=failure)
    context = trouper.MessageContext(run="r", custom_context={"k": text}, correlation_id=text)
    envelope = trouper.Envelope(payload, "s", seq, 2, context)
    before = trouper.DeadLetter("n", envelope, "expired", (attempt,), at=at)
    record = record_of(before)
    line = json.dumps(msgspec.to_builtins(record))
    assert msgspec.convert(json.loads(line), type(record)).letter() == before


def test_the_context_of_a_letter_is_shown(
    trouper_command: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cli_dead_letters, "time", lambda: 0.0)  # before it was given up
    context = trouper.MessageContext(run="nightly", custom_context={"tenant": "b\x1b"})
    write_letters(tmp_path / "f", [letter({"n": 1}, context=context)])
    code, out, err = trouper_command("dead-letters", tmp_path / "f", "--id", "source:1")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "work gave up source:1: max_attempts",
        "  0 s ago, in run nightly",
        "  payload {'n': 1}",
        r"  tenant = b\x1b",
    ]


def test_a_joined_letter_comes_back_joined(tmp_path: Path) -> None:
    parts = MappingProxyType({"a": 1, "b": [2]})
    envelope = Joined(parts, "n@join", 3, taken=("a",))
    write_letters(tmp_path / "f", [trouper.DeadLetter("n", envelope, "stopped")])
    [record] = read_letters(tmp_path / "f")
    back = record.letter().envelope
    assert isinstance(back, Joined)
    assert (dict(back.payload), back.taken) == ({"a": 1, "b": [2]}, ("a",))


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "3 s"), (180, "3 min"), (9000, "2 h"), (400_000, "5 d"), (-9, "0 s")]
)
def test_ages(monkeypatch: pytest.MonkeyPatch, seconds: float, text: str) -> None:
    monkeypatch.setattr(_cli_dead_letters, "time", lambda: 1_000_000 + seconds)
    assert _cli_dead_letters._age(1_000_000) == text
