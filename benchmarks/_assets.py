"""Assets beside what they cost at least: a file, a buffered line, a row, a select."""

import multiprocessing
import os
import shutil
import tempfile
import tracemalloc
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import trouper
from trouper.actors._assets import KEY
from trouper.runtime.assets._artifacts import Artifacts
from trouper.runtime.assets._catalog import Catalog
from trouper.runtime.assets._changes import changes_of
from trouper.runtime.assets._producing import Producing
from trouper.runtime.assets._records import ArtifactAsset, Producer
from trouper.runtime.assets._run_assets import RunAssets
from trouper.runtime.assets._shelf import Shelf, new_id, shelf_at
from trouper.runtime.store._assets import write_changes
from trouper.runtime.store._connections import Connections
from trouper.runtime.store._store import Store, open_store

from ._measure import Contest, Sample, Scale

Context = trouper.TaskContext[Any, Any, Any]

LINE = "loss=0.0513 step=1234 lr=0.001"
KIBIBYTE = b"x" * 1024
PROCESSES = 8
BATCH = 256
"""Rows of one transaction: as many as the catalog is told at once."""
TASKS = 1000


@contextmanager
def _folder() -> Generator[Path, None, None]:
    """Give a folder on the disk of this checkout: a folder in memory would flatter both sides."""
    beside = Path(__file__).parent / "results"  # which git ignores
    beside.mkdir(exist_ok=True)
    folder = tempfile.mkdtemp(prefix="assets-", dir=beside)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _shelf(name: str = "r") -> Generator[Shelf, None, None]:
    with _folder() as folder, open_store(folder / "ws") as store:
        yield shelf_at(store, _key(name))


def _key(run: str) -> str:
    return f"projects/p/experiments/e/runs/{run}"


# -- lines ----------------------------------------------------------------------------------------


def _append(some: Callable[[Context, int], float], lines: int) -> Mapping[str, float]:
    """Return us per line: of the first tenth, and of the last."""
    with _folder() as folder, open_store(folder / "ws") as store:
        context = _context(store)
        tenths = [some(context, max(1, lines // 10)) for _ in range(10)]
    return {"first tenth": tenths[0], "last tenth": tenths[-1], "all": sum(tenths) / 10}


def _context(store: Store) -> Context:
    """Return what a task of a run has."""
    assets = RunAssets(store, _key("r"), Producing(run="r"))
    run = trouper.RunContext(run_name="r", kept={KEY: assets})
    return trouper.TaskContext(run_context=run, action=trouper.ActionID(name="train"))


def _append_afresh(context: Context, lines: int) -> float:
    """As the page writes it."""
    begin = process_time()
    for _ in range(lines):
        context.log("train").append(LINE)
    context.log("train").flush()
    return (process_time() - begin) * 1e6 / lines


def _append_by_handle(context: Context, lines: int) -> float:
    log = context.log("train")
    append, begin = log.append, process_time()
    for _ in range(lines):
        append(LINE)
    log.flush()
    return (process_time() - begin) * 1e6 / lines


def _write_lines(lines: int) -> float:
    with _folder() as folder, (folder / "log").open("w", encoding="utf-8") as file:
        write, line, begin = file.write, f"{LINE}\n", process_time()
        for _ in range(lines):
            write(line)
        file.flush()
        return (process_time() - begin) * 1e6 / lines


def log_lines(scale: Scale) -> Contest:
    lines = scale.n(1_000_000, least=1000)
    return Contest(
        name="log_lines",
        title="a million lines of a log",
        unit="us per line",
        variants={
            "ctx.log(name).append,": partial(_append, _append_afresh, lines),
            "by a kept handle,": partial(_append, _append_by_handle, lines),
            "buffered file": partial(_write_lines, lines),
        },
        rounds=3,
        baseline="buffered file",
    )


# -- files ----------------------------------------------------------------------------------------


def _save(files: int) -> float:
    with _shelf() as shelf:
        artifact = Artifacts(shelf, Producing(run="r"), None)
        artifact.save("first", KIBIBYTE)
        begin = process_time()
        for number in range(files):
            artifact.save(f"artifact-{number}", KIBIBYTE)
        return (process_time() - begin) * 1e6 / files


def _replace(files: int) -> float:
    """Write a file beside its place and rename it: what an atomic write is, fsync off."""
    with _folder() as folder:
        begin = process_time()
        for number in range(files):
            path = f"{folder}/artifact-{number}"
            with open(f"{path}.tmp", "wb") as file:
                file.write(KIBIBYTE)
            os.replace(f"{path}.tmp", path)
        return (process_time() - begin) * 1e6 / files


def artifact_save(scale: Scale) -> Contest:
    files = scale.n(3_000, least=50)
    return Contest(
        name="artifact_save",
        title="artifact.save of 1 KiB, recorded with its producer",
        unit="us per artifact",
        variants={
            "artifact.save": partial(_save, files),
            "bare atomic write": partial(_replace, files),
        },
        rounds=7,
        baseline="bare atomic write",
    )


def _peak(mebibytes: int) -> float:
    """Return the MiB that are allocated at most while so many are saved."""

    def chunks() -> Iterator[bytes]:
        for _ in range(mebibytes):
            yield bytes(1 << 20)

    with _shelf() as shelf:
        artifact = Artifacts(shelf, Producing(), None)
        artifact.save("first", b"")  # what is loaded and opened only once
        tracemalloc.start()
        try:
            artifact.save("big", chunks())
            return tracemalloc.get_traced_memory()[1] / 2**20
        finally:
            tracemalloc.stop()


def artifact_memory(scale: Scale) -> Contest:
    return Contest(
        name="artifact_memory",
        title="memory while a streamed artifact is saved",
        unit="MiB allocated",
        variants={
            "of 4 MiB": partial(_peak, 4),
            "of 256 MiB": partial(_peak, scale.n(256, least=8)),
        },
        rounds=2,
        baseline="of 4 MiB",
    )


# -- rows -----------------------------------------------------------------------------------------


def _record(number: int, run: str) -> ArtifactAsset:
    return ArtifactAsset(
        id=new_id(),
        name=f"artifact-{number}",
        created=float(number),
        file=f"artifacts/artifact-{number}",
        producer=Producer(
            run=run,
            project="p",
            experiment="e",
            execution=1,
            task=f"task-{number % TASKS}",
            attempt=1,
        ),
        size=1024,
        hash="sha256:" + "0" * 64,
    )


def _register(root: Path, run: str, rows: int, ready: Barrier) -> None:
    with open_store(root) as store:
        shelf = shelf_at(store, _key(run))
        records = [_record(number, run) for number in range(rows)]
        ready.wait()
        for each in records:
            shelf.append(each)
        shelf.index()
        ready.wait()


def _insert(root: Path, run: str, rows: int, ready: Barrier) -> None:
    """Insert the same rows into the same tables, in transactions of the same size."""
    with open_store(root) as store:
        number = _manifest(store, run)
        changes = [
            changes_of([_record(at, run) for at in range(start, min(rows, start + BATCH))])
            for start in range(0, rows, BATCH)
        ]
        ready.wait()
        for each in changes:
            with store.connections.writing() as db:
                write_changes(db, number, each)
        ready.wait()


def _manifest(store: Store, run: str) -> int:
    with store.connections.writing() as db:
        db.execute(
            "INSERT INTO manifest (scope, kind, token, size, is_open) VALUES (?, 'run', '', 0, 0)",
            (_key(run),),
        )
        return db.last_insert_rowid()


def _at_once(work: Callable[[Path, str, int, Barrier], None], rows: int) -> float:
    """Return us per row, by the clock on the wall, of processes that begin at once."""
    context = multiprocessing.get_context("spawn")
    with _folder() as folder:
        open_store(folder / "ws").close()
        ready = context.Barrier(PROCESSES + 1)
        each = rows // PROCESSES
        started = [
            context.Process(target=work, args=(folder / "ws", f"r{n}", each, ready))
            for n in range(PROCESSES)
        ]
        for process in started:
            process.start()
        ready.wait()
        begin = perf_counter()
        ready.wait()
        took = perf_counter() - begin
        for process in started:
            process.join()
    return took * 1e6 / (each * PROCESSES)


def asset_rows(scale: Scale) -> Contest:
    rows = scale.n(10_000, least=400)
    return Contest(
        name="asset_rows",
        title="10,000 assets registered by 8 processes at once",
        unit="us per asset, wall clock",
        variants={
            "manifests and catalog": partial(_at_once, _register, rows),
            "bare SQLite": partial(_at_once, _insert, rows),
        },
        rounds=5,
        baseline="bare SQLite",
    )


# -- questions ------------------------------------------------------------------------------------


@contextmanager
def _full(rows: int) -> Generator[Store, None, None]:
    """Give a catalog of so many assets of one run, by `TASKS` tasks in turn."""
    with _folder() as folder, open_store(folder / "ws") as store:
        number = _manifest(store, "r")
        for start in range(0, rows, 20_000):
            records = [_record(at, "r") for at in range(start, min(rows, start + 20_000))]
            with store.connections.writing() as db:
                write_changes(db, number, changes_of(records))
        yield store


def _ask(rows: int, questions: int) -> Mapping[str, float]:
    """Return us per question, ours and the bare one, of one catalog: to fill it takes long."""
    with _full(rows) as store:
        catalog, connections = Catalog(store), store.connections
        ours: Callable[[str], int] = lambda task: len(  # noqa: E731  # two of a kind
            catalog.query_assets(producer_task=task, limit=100)
        )
        bare = partial(_select, connections)
        return {
            name: _time_questions(ask, questions)
            for name, ask in (("query_assets", ours), ("bare select", bare))
        }


def _select(connections: Connections, task: str) -> int:
    rows = connections.get().execute(
        "SELECT record FROM asset WHERE task = ? ORDER BY created DESC, id DESC LIMIT 100", (task,)
    )
    return len(rows.fetchall())


def _time_questions(ask: Callable[[str], int], questions: int) -> float:
    ask("task-0")
    begin = process_time()
    for number in range(questions):
        ask(f"task-{number * 7 % TASKS}")
    return (process_time() - begin) * 1e6 / questions


def asset_query(scale: Scale) -> Contest:
    def ask() -> Sample:
        return _ask(scale.n(1_000_000, least=2000), scale.n(500, least=10))

    return Contest(
        name="asset_query",
        title="the newest 100 of a task, of 1,000,000 assets",
        unit="us per question",
        variants={"": ask},
        rounds=2,
        baseline="bare select",
    )
