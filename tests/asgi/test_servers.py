"""Real servers: a service from its start to its drain, in each of them."""

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from harness.serving import LIMIT, UVICORN, Server, event_streams, read_until, serving

HYPERCORN = ("hypercorn", "--bind", "fd://{fd}", "{app}")
AS_IT_IS = ("", "")
AS_GUEST = ("asgi.lifespan(workflow", 'asgi.lifespan(workflow, host="guest"')
SERVERS = {
    "uvicorn": (UVICORN, AS_IT_IS),
    "uvicorn with a guest": (UVICORN, AS_GUEST),
    "hypercorn on asyncio": (HYPERCORN, AS_IT_IS),
    "hypercorn on trio": ((*HYPERCORN, "-k", "trio"), AS_IT_IS),
}
GUNICORN = (
    *("gunicorn", "--preload", "--workers", "2", "--no-control-socket"),
    *("--worker-class", "uvicorn_worker.UvicornWorker", "--bind", "fd://{fd}", "{app}"),
)
APP = Path(__file__).parent / "app.py"
STREAMS = 100
CLIENTS = 4

AT_IMPORT = """
opened = trouper.open_blocking(workflow)
opened.__enter__()


@app.get("/at-import")
def at_import() -> str:
    try:
        return str(opened.ask(Order("a"), to="price"))
    except RuntimeError as error:
        return str(error)


app.mount(
"""


@pytest.mark.parametrize("server", SERVERS)
def test_a_service_from_start_to_drain(server: str, tmp_path: Path) -> None:
    """X12, X25: starts with the app, answers, and streams.

    When SIGTERM comes, under load, a hundred streams end in order, and the ledger is equal.
    """
    command, replace = SERVERS[server]
    with serving(APP, tmp_path, command, replace=replace) as served, ExitStack() as stack:
        client = served.client
        assert client.get("/readyz").json() == {"ready": True, "why": ""}
        answer = client.post("/ask/price", json={"item": "a", "pieces": 3})
        assert (answer.status_code, answer.json()) == (200, {"total": 6, "custom": {}})
        with client.stream("GET", "/stream/count") as events:
            lines = events.iter_lines()
            for number in range(3):
                assert client.post("/send/count", json=number).status_code == 202
            seen = [json.loads(line[6:]) for line in take(lines, 3, "data: ")]
            assert seen == [{"number": number} for number in range(3)]
        streams = stack.enter_context(event_streams(served, "/flow/stream/count", STREAMS))
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        accepted = threading.Semaphore(0)
        loads = [pool.submit(load, served, accepted) for _ in range(CLIENTS)]
        for _ in range(10 * CLIENTS):
            accepted.acquire()
        client.close()  # hypercorn on trio waits for who may come again
        served.process.send_signal(signal.SIGTERM)
        for stream in streams:
            read_until(stream, b"0\r\n\r\n")
        served.wait()
        told = sum((each.result(LIMIT) for each in loads), Counter[int]())
    (line,) = served.told("orders: drained in")
    assert "completed" in line
    handled = int(served.told("numbers handled")[0].split()[0])
    # 3 before; and what was taken in the moment that hypercorn hung up has no answer.
    unanswered = handled - 3 - told[202]
    assert 0 <= unanswered <= (0 if "uvicorn" in command else told[0]), (handled, told)
    assert set(told) <= {0, 202, 503}, told
    assert "Traceback" not in served.log


def load(served: Server, accepted: threading.Semaphore) -> Counter[int]:
    """Send until there is no service any more; count the answers, and 0 for the last request."""
    told = Counter[int]()
    with closing(HTTPConnection(served.host, served.port, timeout=LIMIT)) as client:
        while True:
            try:
                client.request("POST", "/flow/send/count", body="1")
                answer = client.getresponse()
                answer.read()
            except (HTTPException, OSError):
                told[0] += 1
                return told
            told[answer.status] += 1
            accepted.release()


def take(lines: Iterator[str], count: int, prefix: str) -> list[str]:
    found: list[str] = []
    for line in lines:
        if line.startswith(prefix):
            found.append(line)
            if len(found) == count:
                break
    return found


def test_workers_of_gunicorn_have_a_run_each(tmp_path: Path) -> None:
    """Forked from a master that has loaded the app: what the lifespan opens is each worker's own.

    What the master has opened at import is refused in them. SIGTERM ends the streams of both
    workers in order, and drains both runs.
    """
    with serving(APP, tmp_path, GUNICORN, replace=("app.mount(", AT_IMPORT)) as served:
        client = served.client
        assert client.post("/ask/price", json={"item": "a"}).json()["total"] == 2
        refused = client.get(f"http://{served.host}:{served.port}/at-import").json()
        assert "open one here, after the fork" in refused
        # A server that has not started can't end in order.
        served.told("Application startup complete", times=2)
        with event_streams(served, "/flow/stream/count", 8) as streams:
            served.process.send_signal(signal.SIGTERM)
            for stream in streams:
                read_until(stream, b"0\r\n\r\n")
        assert served.wait() == 0, served.log
    assert len(served.told("orders: drained in")) == 2
    assert "Traceback" not in served.log


def test_a_graph_that_can_not_run_fails_the_start(tmp_path: Path) -> None:
    program = APP.read_text().replace(
        "lifespan = trouper",
        'workflow.task(name="t", depends_on=["nobody"])(print)\nlifespan = trouper',
    )
    (tmp_path / "broken.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "uvicorn", "broken:app", "--port", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 3
    assert "nobody" in done.stderr
