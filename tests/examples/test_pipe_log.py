"""`examples/pipe_log.py`: any input, constant memory."""

import os
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trouper
from harness.command import PATIENCE
from harness.programs import EXAMPLES, load_program, run_program

pipe_log = load_program("pipe_log")

SAMPLE = b"""\
2026-01-31 INFO up
2026-01-31 DEBUG detail
2026-01-31 WARN low
2026-01-31 WARNING lower
2026-01-31 INFORMATION is no level
2026-01-31 ERROR \xff\xfe\x00 \x1b[31m
2026-01-31 FATAL no end of line"""


def test_counts_lines_by_level(tmp_path: Path) -> None:
    file = tmp_path / "some.log"
    file.write_bytes(SAMPLE)
    result = trouper.run(pipe_log.wf, config={"file": str(file)})
    totals = result.outputs["count"]
    assert totals.lines == {"info": 1, "warning": 2, "error": 1, "critical": 1}
    assert result.results == {"lines": 7, "cut": 0}
    assert all(edge.is_closed for edge in result.edges)
    assert [edge.sent for edge in result.edges] == [7, 7, 5, 1]


def test_reads_standard_input_and_leaves_out_what_is_below_the_least_level(tmp_path: Path) -> None:
    ended = run_program("pipe_log.py", "--least", "error", cwd=tmp_path, stdin=SAMPLE)
    assert (
        ended.stdout.split() == b"error 1 critical 1 left out 5 all 7 lines, 0 of them cut".split()
    )
    assert (ended.stderr, ended.returncode) == (b"", 0)


@pytest.mark.parametrize("stdin", [b"", b"\n\n", bytes(range(256)) * 999], ids=["0", "nl", "junk"])
def test_nothing_to_count_is_no_error(tmp_path: Path, stdin: bytes) -> None:
    ended = run_program("pipe_log.py", cwd=tmp_path, stdin=stdin)
    assert (ended.stderr, ended.returncode) == (b"", 0)
    lines = stdin.count(b"\n") + (not stdin.endswith(b"\n") and stdin != b"")
    assert ended.stdout.split()[:3] == f"left out {lines:,}".encode().split()


@pytest.mark.parametrize(
    ("path", "problem"),
    [("nowhere.log", b"No such file or directory: 'nowhere.log'"), (".", b"Is a directory: '.'")],
)
def test_a_file_that_cannot_be_read_ends_it_at_once(
    tmp_path: Path, path: str, problem: bytes
) -> None:
    ended = run_program("pipe_log.py", path, cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stdout == b""
    assert problem in ended.stderr.splitlines()[-1]
    assert b"Traceback" not in ended.stderr


def test_an_unknown_level_is_refused_with_those_that_are() -> None:
    result = trouper.run(pipe_log.wf, config={"file": os.devnull, "least": "loud"})
    assert result.status == "failed"
    assert "'loud' is no level; choose one of: debug, info" in str(result.error)


async def test_a_pipe_that_falls_silent_does_not_hold_up_the_end() -> None:
    ours, theirs = os.pipe()
    try:
        async with pipe_log.wf.open(config={"file": f"/dev/fd/{ours}"}) as run:
            async with run.stream("parse") as entries:
                os.write(theirs, b"one INFO\nhalf ERR")
                assert (await anext(entries)).size == 8
            result = await run.drain(1e6)  # one that waited for the pipe would take half of it
    finally:
        os.write(theirs, b"\n")  # for the thread that was left behind
        os.close(theirs)
        os.close(ours)
    assert (result.status, result.cut_short) == ("completed", ())
    assert result.outputs["count"].lines == {"info": 1}
    assert result.results == {"lines": 2, "cut": 0}


def _shell(script: str, *args: str) -> "subprocess.CompletedProcess[bytes]":
    command = ["sh", "-c", script, "sh", sys.executable, str(EXAMPLES / "pipe_log.py"), *args]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)


def test_whoever_stops_reading_its_output_sees_no_traceback() -> None:
    command = [sys.executable, str(EXAMPLES / "pipe_log.py")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_standard_input_that_is_closed_is_named() -> None:
    ended = _shell('"$@" <&-')
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == b"pipe_log: standard input is closed; name a file"


@given(data=st.binary(max_size=200).map(lambda b: b.replace(b"\x00", b"\n")), cuts=st.data())
def test_lines_do_not_depend_on_where_chunks_are_cut(data: bytes, cuts: st.DataObject) -> None:
    places = cuts.draw(st.lists(st.integers(0, len(data)), max_size=8))
    lines = pipe_log.Lines()
    found: list[bytes] = []
    for start, end in pairwise(sorted([0, *places, len(data)])):
        found += lines.feed(data[start:end])
    found += lines.finish()
    expected = data.split(b"\n")
    assert found == (expected[:-1] if expected[-1] == b"" else expected)


@given(
    lengths=st.lists(st.sampled_from([0, 1, 4095, 4096, 4097, 9000]), max_size=6),
    chunk=st.sampled_from([1000, 4096, 4097, 100_000]),
)
def test_long_lines_are_cut_and_counted(lengths: list[int], chunk: int) -> None:
    data = b"".join(b"x" * length + b"\n" for length in lengths)
    lines = pipe_log.Lines()
    found: list[bytes] = []
    for start in range(0, len(data), chunk):
        found += lines.feed(data[start : start + chunk])
    found += lines.finish()
    assert [len(line) for line in found] == [min(length, 4096) for length in lengths]
    assert lines.cut == sum(length > 4096 for length in lengths)


def test_a_line_of_100_mb_is_never_held() -> None:
    lines, chunk = pipe_log.Lines(), b"x" * 1_000_000
    tracemalloc.start()
    for _ in range(100):
        assert lines.feed(chunk) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000
    assert [len(line) for line in lines.finish()] == [4096]
    assert lines.cut == 1


# Not by wait4(): what that tells includes the memory of the process that has forked.
MEASURED = """
import runpy, sys
del sys.argv[0]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    [peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print(peak, file=sys.stderr)
"""


def _peak_rss(path: Path) -> int:
    """Return the most memory that the program ever had, in KiB."""
    command = [sys.executable, "-c", MEASURED, str(EXAMPLES / "pipe_log.py"), str(path)]
    ended = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
    return int(ended.stderr)


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    """X18: no edge buffers more than its bound, however long the stream."""
    little, much = tmp_path / "little.log", tmp_path / "much.log"
    block = SAMPLE.replace(b"\n", b" some more text to make it as long as logs are\n") + b"\n"
    little.write_bytes(block * 2_000)
    much.write_bytes(block * 20_000 + b"x" * 10_000_000)
    assert _peak_rss(much) < _peak_rss(little) + 8_000
