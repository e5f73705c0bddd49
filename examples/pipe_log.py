"""Count the lines of a log by level, in constant memory however long it is.

    python examples/pipe_log.py FILE
    some-program | python examples/pipe_log.py
    trouper run examples/pipe_log.py --override file=FILE

Prints how many lines of each level there were, how many were left out, and how many were too long.
The level is the first word such as INFO or WARNING, in capitals, near the start of a line.
Configuration: `file` (`-`, or none, is standard input), `least` (the lowest level that is counted:
debug, info, warning, error or critical; default info).

Rule 1: memory is bounded. A line is cut at LONGEST bytes, and an edge holds at most AT_ONCE lines.
Rule 2: bytes stay bytes. Nothing is decoded, so nothing can fail to decode.
Rule 3: messages travel in batches, which costs a fraction of one at a time.
"""

import argparse
import io
import os
import re
import sys
from collections import Counter

import msgspec
import trio

import trouper
from trouper import ActorContext, EndOfInput, TaskContext

LONGEST = 4096
"""Bytes of one line that are kept."""
AT_ONCE = 1024
"""Lines."""
CHUNK = 1 << 17
"""Bytes that are read at once."""
HEAD = 160
"""Bytes at the start of a line among which its level is looked for."""

NO_LEVEL = -1
LEVELS = ("debug", "info", "warning", "error", "critical")
# Without a word boundary in front, which costs as much as all the rest.
_LEVEL = re.compile(rb"(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)(?![A-Za-z])")
_RANKS = {
    b"DEBUG": 0,
    b"INFO": 1,
    b"WARN": 2,
    b"WARNING": 2,
    b"ERROR": 3,
    b"CRITICAL": 4,
    b"FATAL": 4,
}

wf = trouper.Workflow("pipe-log")


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What is known of one line."""

    rank: int
    """Place in LEVELS, or NO_LEVEL."""
    size: int
    """Bytes, without the line's end; of a line that was cut, those that were kept."""


class Totals(msgspec.Struct, frozen=True):
    """What was counted."""

    lines: dict[str, int]
    """Level -> lines."""
    bytes: int
    """In those lines."""


class Lines:
    """Cuts chunks into lines. Holds at most one line and one chunk."""

    def __init__(self) -> None:
        self._begun = b""
        self._is_cut = False
        self.cut = 0
        """Lines that were."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that end in this chunk."""
        first, *lines = chunk.split(b"\n")
        self._extend(first)
        if not lines:
            return []
        lines.insert(0, self._begun)
        self._begun, last_was_cut = b"", self._is_cut
        self._is_cut = False
        self._extend(lines.pop())
        self.cut += last_was_cut
        if len(chunk) > LONGEST and max(map(len, lines)) > LONGEST:
            self.cut += sum(len(line) > LONGEST for line in lines)
            lines = [line[:LONGEST] for line in lines]
        return lines

    def _extend(self, part: bytes) -> None:
        begun = self._begun + part
        self._is_cut = self._is_cut or len(begun) > LONGEST
        self._begun = begun[:LONGEST]

    def finish(self) -> list[bytes]:
        """Return the last line, if it has no end."""
        return self.feed(b"\n") if self._begun else []


# None of these is restarted: what a pipe has given is gone, and a new counter would begin at 0.
@wf.actor(restart="temporary")
async def read(ctx: ActorContext[None, None, None, bytes]) -> None:
    """Read in worker threads: a pipe may keep us waiting, a disk too."""
    lines = Lines()
    path = ctx.config.get("file")
    # Opening a named pipe waits for its writer; only then is the thread left behind, for it would
    # leave an open file behind too.
    is_pipe = path is not None and await trio.Path(path).is_fifo()
    with await trio.to_thread.run_sync(_open, path, abandon_on_cancel=is_pipe) as file:
        try:
            while chunk := await _read_chunk(ctx, file):
                await ctx.send_many(lines.feed(chunk))
            await ctx.send_many(lines.finish())
        finally:
            ctx.set_result("cut", lines.cut)


def _open(path: str | None) -> io.FileIO:
    if path is not None and path != "-":
        return io.FileIO(path)
    # When it was closed at the start, its number belongs to another file by now.
    if sys.stdin is None:
        raise OSError("standard input is closed; name a file")
    return io.FileIO(0, closefd=False)


async def _read_chunk(ctx: ActorContext, file: io.FileIO) -> bytes:
    """Return what comes next: nothing at the end, or when the run drains before something comes."""
    chunk: bytes = b""

    async def give_up_when_stopping() -> None:
        await ctx.stopping.wait()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up_when_stopping)
        # Abandoned when cancelled: a pipe may stay silent for ever.
        chunk = await trio.to_thread.run_sync(file.read, CHUNK, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()
    return chunk


@wf.actor(depends_on=["read"], capacity=AT_ONCE, restart="temporary")
async def parse(ctx: ActorContext[None, None, bytes, Entry]) -> None:
    """Find each line's level."""
    search = _LEVEL.search
    parsed = 0
    try:
        while True:
            lines = await ctx.receive_many(AT_ONCE)
            found = [(search(line, 0, HEAD), line) for line in lines]
            entries = [
                Entry(_RANKS[match[1]] if match else NO_LEVEL, len(line)) for match, line in found
            ]
            await ctx.send_many(entries)
            parsed += len(entries)
    finally:
        ctx.set_result("lines", parsed)


@wf.actor(depends_on=["parse"], capacity=AT_ONCE, restart="temporary")
async def keep(ctx: ActorContext[None, None, Entry, Entry]) -> None:
    """Leave out what is below the least level, or has none."""
    least = LEVELS.index(check_level(ctx.config.get("least", "info")))
    while True:
        entries = await ctx.receive_many(AT_ONCE)
        await ctx.send_many([entry for entry in entries if entry.rank >= least])


def check_level(name: object) -> str:
    if name not in LEVELS:
        raise ValueError(f"least={name!r} is no level; choose one of: {', '.join(LEVELS)}")
    return str(name)


@wf.actor(depends_on=["keep"], capacity=AT_ONCE, restart="temporary")
async def count(ctx: ActorContext[None, None, Entry, Totals]) -> None:
    """Count to the end, then tell."""
    ranks: Counter[int] = Counter()
    size = 0
    try:
        while True:
            entries = await ctx.receive_many(AT_ONCE)
            ranks.update([entry.rank for entry in entries])
            size += sum([entry.size for entry in entries])
    except EndOfInput:
        await ctx.send(Totals({LEVELS[rank]: n for rank, n in sorted(ranks.items())}, size))


@wf.task(depends_on=["count"])
def report(ctx: TaskContext[None, None, Totals]) -> None:
    """Print it; in a thread, because whoever reads our output may be slow."""
    read, cut, totals = ctx.get_result("lines"), ctx.get_result("cut"), ctx.inputs
    left_out = read - sum(totals.lines.values())
    lines = [f"{level:<9}{n:>14,}" for level, n in totals.lines.items()]
    lines += [
        f"{'left out':<9}{left_out:>14,}",
        f"{'all':<9}{read:>14,} lines, {cut:,} of them cut",
    ]
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        # The reader has left. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        ctx.set_result("unread", True)


# -- without the command line tool -------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description="Count the lines of a log by level.")
    parser.add_argument("file", nargs="?", default="-", help="- or none: standard input")
    parser.add_argument("--least", choices=LEVELS, default="info", help="lowest level counted")
    result = trouper.run(wf, config=vars(parser.parse_args()))
    if not result.ok:
        print(f"pipe_log: {result.error or result.reason}", file=sys.stderr)
        return 130 if result.interrupted else 1
    return 130 if result.interrupted else int("unread" in result.results)


if __name__ == "__main__":
    sys.exit(main())
