"""Copy a file line by line so that no crash loses one: the offset follows acknowledgements.

    python examples/offset_source.py FROM TO [--crash-after N]
    python examples/offset_source.py              shows it: crashes in the middle, and goes on

TO.offset keeps how many lines of FROM are done. A line is done when all that came from it is
settled, and the offset moves over it when every line before it is done too. After a crash the next
run begins there: what was under way comes again, so a line may stand in TO twice, but none is lost.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import trio

import trouper
from trouper import ActorContext, Backoff, Settled

CRASHED = 9
"""Exit code of the crash, which runs no clean-up."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line and its place in the file."""

    number: int
    """From 0."""
    text: str


class Offset:
    """How many messages are done without a gap before them, in a file that survives a crash."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.done = int(file.read_text()) if file.exists() else 0
        self._beyond: set[int] = set()
        """Done too, but behind one that is not."""

    def note(self, number: int) -> None:
        """Note that a message is done; move on if it was the first that was not."""
        self._beyond.add(number)
        before = self.done
        while self.done in self._beyond:
            self._beyond.remove(self.done)
            self.done += 1
        if self.done > before:
            self._save()

    def _save(self) -> None:
        # Replaced in one step: a crash leaves the old offset or the new one, never half of one.
        scratch = self._file.with_name(f"{self._file.name}.new")
        scratch.write_text(str(self.done))
        os.replace(scratch, self._file)


def copying(source: Path, target: Path, *, crash_after: int | None = None) -> trouper.Workflow:
    """Return the graph that copies; the process ends abruptly after so many lines were written."""
    wf = trouper.Workflow("offset-source")
    offset = Offset(target.with_name(f"{target.name}.offset"))

    @wf.actor
    async def lines(ctx: ActorContext[None, None, None, Line]) -> AsyncIterator[Line]:
        def settled(what: Settled) -> None:
            # An abandoned one must come again. A dead letter is done: it is kept elsewhere.
            if what.outcome != "abandoned":
                offset.note(what.payload.number)

        ctx.on_settled(settled)
        first = offset.done
        async with await trio.open_file(source) as file:
            number = 0
            async for text in file:
                if number >= first:
                    yield Line(number, text.rstrip("\n"))
                number += 1

    @wf.actor(depends_on="lines", backoff=Backoff(min=0, max=0))
    async def check(ctx: ActorContext[None, None, Line, Line]) -> AsyncIterator[Line]:
        async for line in ctx:
            if line.number % 10 == 3 and ctx.message is not None and ctx.message.attempt == 1:
                ctx.reject("not yet")  # it comes again: lines get done out of order
            else:
                yield line

    @wf.actor(depends_on="check")
    async def write(ctx: ActorContext[None, None, Line]) -> None:
        written = 0
        with target.open("a") as file:
            async for line in ctx:
                file.write(f"{line.text}\n")
                file.flush()
                written += 1
                if written == crash_after:
                    os._exit(CRASHED)

    return wf


def show(lines: int = 100) -> int:
    """Copy with a crash in the middle, and again; say what became of the lines."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "from.txt"), Path(folder, "to.txt")
        source.write_text("".join(f"line {n}\n" for n in range(lines)))
        again = [sys.executable, __file__, str(source), str(target)]
        crashed = subprocess.run([*again, "--crash-after", str(lines // 2)], check=False)
        print(f"the first run ended with {crashed.returncode}, its offset is ", end="")
        print(Path(f"{target}.offset").read_text())
        subprocess.run(again, check=True)
        print(f"the second run ended, its offset is {Path(f'{target}.offset').read_text()}")
        copied = Counter(target.read_text().splitlines())
        lost = set(source.read_text().splitlines()) - set(copied)
        print(f"{len(copied)} of {lines} lines were copied, {len(lost)} lost")
        return 1 if lost else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Copy a file line by line; crashes lose none.")
    parser.add_argument("source", nargs="?", type=Path, metavar="FROM")
    parser.add_argument("target", nargs="?", type=Path, metavar="TO")
    parser.add_argument("--crash-after", type=int, metavar="N", help="lines written")
    options = parser.parse_args()
    if options.source is None:
        return show()
    if options.target is None:
        parser.error("name the file TO copy to as well")
    trouper.run(copying(options.source, options.target, crash_after=options.crash_after)).unwrap()
    return 0


if __name__ == "__main__":
    sys.exit(main())
