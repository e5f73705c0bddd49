"""`kill -9` at any moment: what was acknowledged is there, and nothing is half there.

Twenty rounds; `make soak` goes on for TROUPER_SOAK_SECONDS.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.stores import child, line, new_run, open_at
from trouper.runtime.store._records import LOST

SECONDS = float(os.environ.get("TROUPER_SOAK_SECONDS", "0"))
ROUNDS = 20

WORK = """
store = open_store(root)
claim = store.start(NewRun(name="run-1", target="t"))
say("claimed", claim.number)
number = 0
while True:
    number += 1
    store.results.set(claim, f"{claim.number}-{number}", number)
    say("result", f"{claim.number}-{number}")
    name = f"a-{number}"
    store.recorder.record_now(ActionRecord(execution=claim.execution, name=name, started=0.0))
    say("started", name)
    ended = ActionRecord(
        execution=claim.execution, name=name, started=0.0, ended=1.0, phase="completed", output=b"v"
    )
    store.recorder.record(ended)
    if number % 3 == 0:
        store.recorder.flush()
        say("flushed", number)
    turn = store.cache.begin(f"{claim.number}-{number}".encode())
    store.cache.finish(f"{claim.number}-{number}".encode(), turn, b"v" * number, task="t")
    say("cached", f"{claim.number}-{number}")
"""
"""Does everything over and over, and tells what is on disk. Its process is killed."""


class Acknowledged:
    """What a process said it had done."""

    def __init__(self) -> None:
        self.results: set[str] = set()
        self.cached: set[str] = set()
        self.started: set[str] = set()
        self.flushed = 0

    def hear(self, words: str) -> None:
        kind, what = words.split()
        if kind == "result":
            self.results.add(what)
        elif kind == "cached":
            self.cached.add(what)
        elif kind == "started":
            self.started.add(what)
        elif kind == "flushed":
            self.flushed = int(what)


def rounds() -> Iterator[random.Random]:
    until = time.monotonic() + SECONDS
    number = 0
    while number < ROUNDS or time.monotonic() < until:
        number += 1
        yield random.Random(number)


def one_round(root: Path, lines: int, number: int, all_results: set[str]) -> None:
    said = Acknowledged()
    with child(WORK, root) as process:
        assert line(process) == f"claimed {number}"
        for _ in range(lines):
            said.hear(line(process))
        process.kill()  # wherever it is by now
        out, _ = process.communicate()
        # The last line may be half a line: then nobody was told anything.
        for words in out.splitlines()[: -1 if not out.endswith("\n") else None]:
            said.hear(words)
    all_results |= said.results
    check(root, said, number, all_results)


def check(root: Path, said: Acknowledged, number: int, all_results: set[str]) -> None:
    with open_at(root) as store:
        assert store.connections.get().pragma("integrity_check") == "ok"
        record = store.runs.get("run-1")
        assert (record.number, record.error_code) == (number, LOST)
        results = store.results.all(record.run)
        assert all_results <= set(results)
        assert all(key.endswith(f"-{value}") for key, value in results.items())
        actions = {each.name: each for each in store.actions.of(record.execution)}
        assert said.started <= set(actions)
        ended = {name for name, each in actions.items() if each.phase == "completed"}
        assert {f"a-{n}" for n in range(1, said.flushed + 1)} <= ended
        for key in said.cached:
            value = store.cache.get(key.encode())
            assert value == b"v" * int(key.partition("-")[2])
        entries, size = store.cache.size()
        rows = store.connections.get().execute("SELECT count(*), sum(size) FROM cache").fetchone()
        assert rows in ((entries, size), (0, None))


@pytest.mark.soak
@pytest.mark.timeout(max(300, SECONDS + 120))
def test_what_was_acknowledged_survives_any_kill(tmp_path: Path) -> None:
    """F10, F13, F21."""
    all_results: set[str] = set()
    for number, rng in enumerate(rounds(), 1):
        one_round(tmp_path, rng.choice([0, 1, 2, 3, rng.randint(4, 60)]), number, all_results)
    with open_at(tmp_path) as store:
        again = store.runs.claim(new_run())
        phases = [each.phase for each in store.runs.executions("run-1")]
        assert phases == ["failed"] * (again.number - 1) + ["running"]
