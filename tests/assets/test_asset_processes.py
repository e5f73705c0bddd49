"""Several processes at once, and processes that are killed: nothing recorded is lost or half there.

Twenty rounds of `kill -9`; `make soak` goes on for TROUPER_SOAK_SECONDS, 200 rounds at least.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import trouper
from harness.assets import Place, context_of, workspace
from harness.command import PATIENCE
from harness.killed import rounds_at
from trouper.runtime.assets._catalog import Catalog
from trouper.runtime.assets._run_assets import open_run_assets

SECONDS = float(os.environ.get("TROUPER_SOAK_SECONDS", "0"))
ROUNDS = 200 if SECONDS else 20

PRELUDE = """
import sys
from pathlib import Path
from harness.assets import context_of, workspace
from trouper.runtime.assets._data_assets import data_assets_of
from trouper.runtime.assets._run_assets import open_run_assets

root, who = Path(sys.argv[1]), sys.argv[2]

def say(*words):
    print(*words, flush=True)
"""

EIGHT = """
with workspace(root) as place:
    shared = context_of(open_run_assets(place.run("shared")), who)
    own = context_of(open_run_assets(place.run(f"own-{who}")), who)
    sys.stdin.readline()
    for number in range(40):
        shared.artifact.save("same", f"{who} {number}")
        own.artifact.save(f"a-{number}", number, tags=[who])
        shared.checkpoint("chain", data=number)
        shared.log("log").append(f"{who} {number}")
    data_assets_of(place).import_asset("data", __import__("os").__file__)
"""


def start(code: str, root: Path, who: object) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, str(root), str(who)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        encoding="utf-8",
    )


def test_eight_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    """F14: four runs in threads kept 27 of 60 rows."""
    started = [start(EIGHT, tmp_path, who) for who in range(8)]
    for each in started:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    for each in started:
        each.communicate(timeout=PATIENCE)
    assert [each.returncode for each in started] == [0] * 8
    with workspace(tmp_path) as place:
        catalog = Catalog(place.store)
        assert len(catalog.query_assets(kind="artifact")) == 8 * 80
        shared = catalog.query_assets(name="same", order="name")
        assert [each.version for each in shared] == list(range(1, 321))
        assert len({each.load() for each in shared}) == 320
        assert len(catalog.query_assets(tag="3")) == 40
        assert [each.version for each in catalog.query_assets(name="data", order="name")] == list(
            range(1, 9)
        )
        context = context_of(open_run_assets(place.run("shared")))
        assert len(context.checkpoints("chain")) == 320
        assert len(list(context.log("log"))) == 320
        assert len(catalog.query_assets(kind="log")) == 1
        before = catalog.query_assets()
        catalog.rebuild()
        assert catalog.query_assets() == before


# -- kill -9 --------------------------------------------------------------------------------------


def rounds() -> Iterator[tuple[int, random.Random]]:
    until = time.monotonic() + SECONDS
    number = 0
    while number < ROUNDS or time.monotonic() < until:
        number += 1
        yield number, random.Random(number)


def check_run(root: Path, said: dict[str, list[str]], number: int) -> None:
    """What was said stands in the folder too, which another workspace takes in."""
    place = "projects/p/experiments/e/runs/r"
    with tempfile.TemporaryDirectory() as folder, trouper.Workspace(folder) as other:
        shutil.copytree(
            root / place, other.path / place, ignore=shutil.ignore_patterns("artifacts", "ch*")
        )
        other.catalog.rebuild()
        run = other.find_run("r")
        assert set(said.get("result", ())) <= set(run.results)
        assert [each.error_code for each in run.executions()] == ["ProcessLost"] * number


def check(root: Path, said: dict[str, list[str]]) -> None:
    with workspace(root) as place:
        catalog = Catalog(place.store)
        _check_assets(place, catalog, said)
        context = context_of(open_run_assets(place.run()))
        keys = [line.split()[0] for line in context.log("log")]
        assert set(said.get("line", ())) <= set(keys)
        for line in context.log("log"):
            key, text = line.split(" ")
            assert text == "x" * (int(key.split("-")[1]) * 50 % 9000)
        run = place.store.runs.get("r").run
        assert set(said.get("result", ())) <= set(place.store.results.all(run))
        before = catalog.query_assets()
        catalog.rebuild()
        assert catalog.query_assets() == before


def _check_assets(place: Place, catalog: Catalog, said: dict[str, list[str]]) -> None:
    found = {each.id: each for each in catalog.query_assets()}
    assert {*said.get("artifact", ()), *said.get("checkpoint", ())} <= set(found)
    for each in found.values():
        if isinstance(each, trouper.ArtifactAsset):
            content = each.load()
            assert len(content) == each.size
            assert content == content[: len(content) // 6000] * 6000
    chain = context_of(open_run_assets(place.run())).checkpoints("c")
    assert len(chain) == sum(each.kind == "checkpoint" for each in found.values())
    # Nothing is visible that is half-written.
    files = [each for each in (place.run().path / "artifacts").rglob("*") if each.is_file()]
    assert all(each.stat().st_size % 6000 == 0 for each in files)
    manifest = place.run().path / "assets.jsonl"
    whole, _, _ = manifest.read_text().rpartition("\n")
    assert all(isinstance(json.loads(line), dict) for line in whole.splitlines())


@pytest.mark.soak
@pytest.mark.timeout(max(600, SECONDS + 3600))
def test_what_was_acknowledged_survives_any_kill(tmp_path: Path) -> None:
    """F9, F10, F14, F15, F21."""
    with rounds_at(tmp_path) as processes:
        for number, rng in rounds():
            words = rng.choice([1, 2, 3, 4, rng.randint(5, 60)])
            said = processes.killed_after(words, number)
            assert said["begun"] == [str(number)]
            check(tmp_path, said)
            check_run(tmp_path, said, number)
