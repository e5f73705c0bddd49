"""Values that fit into no memory, processes that are killed, and what is imported for them."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from harness.buckets import Buckets, bucket_server, buckets, cloud_library
from harness.storing import below

__all__ = ["bucket_server", "buckets", "cloud_library"]

MIB = 1 << 20
SIZE = 128 * MIB
ROOM = 64 * MIB
"""What a process may grow by while it handles much more; buffers and threads are in it."""


def run_python(code: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


MEASURED = """
import resource, sys
import trouper
from trouper.io import DataFrame, Dir, File

MIB = 1 << 20
env = trouper.TaskEnvironment("large")

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def grown(raw, body):
    body(1)  # what is imported and started once
    before = peak()
    body({size})
    return peak() - before

def in_a_run(raw, body):
    @env.task(name=body.__name__)
    def inside(size: int) -> None:
        body(size)
    runner = trouper.with_runcontext(raw_data_path=raw, workspace=False)
    return lambda size: runner.run(inside, size)
"""

FILES = """
def parts(size):
    for _ in range(max(1, size // MIB)):
        yield bytes(MIB)

def body(size):
    file = File.save("a", parts(size))
    with File.create("b") as out:
        for chunk in file.chunks():
            out.write(chunk)
    assert out.file.content_hash == file.content_hash
    assert out.file.size == max(MIB, size)
    copy = File.save("c", out.file.download())
    assert copy.content_hash == file.content_hash

print(grown(sys.argv[1], in_a_run(sys.argv[1], body)))
"""


IN_A_BUCKET = """
from hashlib import sha256

def body(size):
    file = File.save("a", (bytes(MIB) for _ in range(max(1, size // MIB))))
    found = sha256()
    for chunk in file.chunks():
        found.update(chunk)
    assert file.content_hash == f"sha256:{found.hexdigest()}"

print(grown(sys.argv[1], in_a_run(sys.argv[1], body)))
"""


def measured(code: str, raw: str, folder: Path) -> int:
    program = folder / "measured.py"
    program.write_text(MEASURED.replace("{size}", str(SIZE)) + code)
    done = subprocess.run(
        [sys.executable, str(program), raw], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_large_files_take_constant_memory(tmp_path: Path) -> None:
    assert measured(FILES, str(tmp_path / "raw"), tmp_path) < ROOM
    for each in (tmp_path / "raw").rglob("?"):
        if each.is_file():
            each.unlink()


def test_large_files_in_buckets_take_constant_memory(tmp_path: Path, buckets: Buckets) -> None:
    assert measured(IN_A_BUCKET, "s3://my-bucket", tmp_path) < ROOM


FRAMES = """
import pyarrow

def batches(size):
    zeros = pyarrow.array([0] * (MIB // 8), type=pyarrow.int64())
    for number in range(max(1, size // MIB)):
        yield pyarrow.record_batch({"n": pyarrow.compute.add(zeros, number)})

import pyarrow.compute

def body(size):
    frame = DataFrame.save("a", batches(size))
    assert frame.rows == max(1, size // MIB) * MIB // 8
    assert sum(batch.num_rows for batch in frame.batches()) == frame.rows

print(grown(sys.argv[1], in_a_run(sys.argv[1], body)))
"""


def test_large_frames_take_constant_memory(tmp_path: Path) -> None:
    assert measured(FRAMES, str(tmp_path / "raw"), tmp_path) < ROOM


KILLED = """
import sys
import trouper
from trouper.io import Dir, File

env = trouper.TaskEnvironment("killed")

def endless():
    yield b"x" * 3_000_000
    print("under way", flush=True)
    sys.stdin.read()

@env.task
def root(what: str) -> None:
    if what == "file":
        File.save("a", endless())
    else:
        with Dir.create("d") as out:
            (out.path / "a").write_text("half")
            list(endless())

trouper.with_runcontext(name="r", raw_data_path="raw", workspace=False).run(root, sys.argv[1])
"""


@pytest.mark.parametrize("what", ["file", "dir"])
def test_a_process_that_is_killed_leaves_nothing_half_written_to_be_seen(
    what: str, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, what],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "under way\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = below(tmp_path / "raw")
    assert left  # it was under way
    assert all(part.startswith(".") for name in left for part in name.split("/") if ".part" in part)
    assert all(".part" in name for name in left)


def test_what_few_need_is_not_imported(tmp_path: Path) -> None:
    code = """
        import sys
        import trouper
        assert "io" in dir(trouper) and trouper.Workflow
        assert "trouper.runtime.io._file" not in sys.modules
        assert trouper.io.File and trouper.io.DataFrame

        @trouper.TaskEnvironment("light").task
        async def root() -> trouper.io.File:
            return await trouper.io.File.asave("a", "text")

        trouper.with_runcontext(raw_data_path="raw").run(root)
        heavy = {"obstore", "pyarrow", "pandas", "polars", "numpy", "boto3"}
        print(sorted(heavy & set(sys.modules)))
    """
    assert run_python(code, tmp_path) == "[]\n"
