"""Signals, as servers of one process and of several get them and pass them on."""

import multiprocessing
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it has no annotations
import pytest
import trio
import trio.testing

import trouper
import trouper.asgi
from harness.serving import LIMIT, Server, serving
from trouper.runtime.asgi._hypercorn import LOOK, Rest, wait_shutdown_again
from trouper.runtime.asgi._signals import TOGETHER, SignalCount

APP = Path(__file__).parent / "hard_app.py"
TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
LATER = TOGETHER + 1


@pytest.mark.parametrize(
    ("told", "process", "worker"),
    [
        ([(TERM, 0.0)], 1, 1),
        ([(TERM, 0.0), (TERM, LATER)], 2, 2),
        # By systemd, to all processes, and then by the server to its workers.
        ([(TERM, 0.0), (TERM, 0.5)], 2, 1),
        # One Ctrl-C: by the terminal, and then by uvicorn, or by gunicorn.
        ([(INT, 0.0), (TERM, 0.5)], 2, 1),
        ([(INT, 0.0), (QUIT, LATER)], 2, 1),
        ([(INT, 0.0), (TERM, 0.5), (INT, LATER)], 3, 2),
        # gunicorn that was told to end, and then to be quick.
        ([(TERM, 0.0), (QUIT, 0.1)], 2, 2),
    ],
)
def test_which_signal_is_a_second_one(
    told: list[tuple[int, float]], process: int, worker: int
) -> None:
    for is_worker, count in ((False, process), (True, worker)):
        signals = SignalCount(is_worker=is_worker)
        assert [signals.hear(number, at) for number, at in told][-1] == count


def event() -> Any:
    # hypercorn's is of "spawn", which would leave a process that tracks it.
    return multiprocessing.get_context("fork").Event()


def test_an_event_that_is_set_once_more_is_told() -> None:
    """Nobody who sets it waits for this, though a process is killed that has left a rest."""
    shutdown = event()
    shutdown.set()
    rests = [Rest(shutdown), Rest(shutdown)]
    assert [rest.is_gone() for rest in rests * 2] == [False] * 4
    shutdown.set()
    assert [rest.is_gone() for rest in rests] == [True, True]
    assert shutdown.is_set()
    assert not Rest(object()).is_gone()  # it can't be told


async def test_a_worker_that_crashes_is_no_second_signal(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """hypercorn sets the event, and ends each other worker by SIGTERM at once."""
    shutdown, terms = event(), [0]
    shutdown.set()
    heard = trio.Event()

    async def wait() -> None:
        await wait_shutdown_again(shutdown, lambda: terms[0])
        heard.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(5 * LOOK)
        shutdown.set()
        terms[0] += 1
        await trio.sleep(5 * LOOK)
        assert not heard.is_set()
        shutdown.set()
        await heard.wait()


@pytest.fixture
def unhandled() -> Iterator[None]:
    """Nobody handles SIGTERM, as where a server leaves it to Python."""
    before = signal.signal(TERM, signal.SIG_DFL)
    yield
    signal.signal(TERM, before)


async def test_a_signal_that_no_server_handles_ends_the_process_after_the_drain(
    autojump_clock: trio.testing.MockClock, unhandled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X25: everything accepted is handled first, whether somebody shuts the service down or not."""
    ended: list[tuple[int, str]] = []
    workflow = trouper.Workflow("slow")

    @workflow.actor
    async def slow(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        async for number in ctx:
            await trio.sleep(number)

    lifespan = trouper.asgi.lifespan(workflow)

    def end_by(number: int) -> None:
        ended.append((number, lifespan.result.status if lifespan.result else "running"))

    monkeypatch.setattr("trouper.runtime.asgi._service.end_by", end_by)
    async with lifespan(None):
        await lifespan.run.send(3)
        await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(TERM)
        await trio.sleep(2.9)
        assert (lifespan.why_not_ready(), ended) == ("draining", [])
        await trio.sleep(1)
        assert ended == [(TERM, "completed")]
        assert trio.current_time() == pytest.approx(3.9)
    ended.clear()
    async with lifespan(None):
        await lifespan.run.send(3)
        signal.raise_signal(TERM)
        await trio.testing.wait_all_tasks_blocked()
    assert ended == [(TERM, "completed")]
    ended.clear()
    async with lifespan(None):
        for _ in range(3):  # the third one waits for nothing
            signal.raise_signal(TERM)
        await trio.testing.wait_all_tasks_blocked()
        assert ended[0] == (TERM, "running")


HYPERCORN = ("hypercorn", "--bind", "fd://{fd}", "{app}")
GUNICORN = (
    *("gunicorn", "--no-control-socket", "--worker-class", "uvicorn_worker.UvicornWorker"),
    *("--graceful-timeout", str(round(LIMIT)), "--bind", "fd://{fd}", "{app}"),
)


@pytest.mark.parametrize(
    ("command", "second", "patience"),
    [
        # One that comes in the moment that the other worker ends may be overheard.
        ((*HYPERCORN, "--workers", "2"), TERM, 1.0),
        ((*HYPERCORN, "-k", "trio", "--workers", "0"), TERM, LIMIT),
        (GUNICORN, QUIT, LIMIT),
    ],
    ids=["workers of hypercorn", "hypercorn that leaves it to Python", "gunicorn"],
)
def test_a_second_signal_cancels(
    command: tuple[str, ...], second: int, patience: float, tmp_path: Path
) -> None:
    """X12: what was in hand is given up at once; it would have had 1,000 s.

    The other worker has nothing to do, and ends first: hypercorn then tells this one to end, too.
    """
    replace = ("drain_budget=2.5", "drain_budget=1_000")
    with serving(APP, tmp_path, command, replace=replace) as server:
        assert server.client.post("/send/stuck", json={"name": "any"}).status_code == 202
        server.process.send_signal(TERM)
        server.told("stuck while it drains")
        # By the signal: where Python ends it, and of hypercorn if it comes past everything else.
        assert keep_telling(server, second, patience) in (0, -second), server.log
    told = " s, cancelled: 0 acknowledged, 0 redelivered, 0 dead-lettered, 1 abandoned"
    (line,) = [line for line in server.lines if line.endswith(told)]
    assert "hard: drained in" in line
    assert "Traceback" not in server.log


def keep_telling(server: Server, number: int, patience: float) -> int:
    """Send a signal, every so many seconds, until the process has ended.

    SIGQUIT is what gunicorn sends its worker; who is told by gunicorn itself has two seconds.
    """
    told: list[Any] = [server.process]
    if number == QUIT:
        told = psutil.Process(server.process.pid).children()
    for _ in range(round(LIMIT / patience)):
        for process in told:
            process.send_signal(number)
        try:
            server.process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        break
    return server.wait()


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (("uvicorn", "--workers", "2", "--fd", "{fd}", "{app}"), INT),
        ((*HYPERCORN, "--workers", "2"), TERM),
    ],
    ids=["uvicorn at Ctrl-C", "hypercorn at the end of all processes"],
)
def test_one_signal_to_all_processes_is_one(
    command: tuple[str, ...], number: int, tmp_path: Path
) -> None:
    """X25: what a terminal or systemd tells every process, and the server its workers again.

    Whoever is busy has the whole budget.
    """
    replace = ("drain_budget=2.5", "drain_budget=1.2")
    with serving(APP, tmp_path, command, replace=replace) as server:
        assert server.client.post("/send/stuck", json={"name": "any"}).status_code == 202
        # A server that has not started can't end in order.
        server.told("startup complete" if "uvicorn" in command else "[INFO] Running on", 2)
        server.signal_all(number)
        server.wait()
    found = server.told("hard: drained in", 2)
    (line,) = [line for line in found if "1 abandoned" in line]
    assert "cut short: stuck" in line
    assert "Traceback" not in server.log
