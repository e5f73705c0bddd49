"""Bad input, clients that are gone or do not read, and SIGTERM: one service through all of it."""

import json
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it has no annotations
import pytest

from harness.serving import (
    LIMIT,
    Server,
    event_streams,
    open_files,
    read_until,
    resident,
    serving,
)

APP = Path(__file__).parent / "hard_app.py"
HALF_OPEN = 2_000
STREAMS = 100
MIB = 2**20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service that most of these tests share; the last one ends it."""
    folder = tmp_path_factory.mktemp("service")
    with open_files(2 * HALF_OPEN + 1_000), serving(APP, folder) as server:
        assert server.client.get("/readyz").status_code == 200
        yield server


def asks(server: Server) -> None:
    """The service goes on."""
    answer = server.client.post("/ask/echo", json={"name": "hello"})
    assert (answer.status_code, answer.json()) == (200, "hello")


def raw(server: Server, request: bytes) -> bytes:
    """Return the head of what is answered."""
    with server.connect() as stream:
        stream.sendall(request)
        return read_until(stream, b"\r\n\r\n")


def test_bad_input_gets_a_status(service: Server) -> None:
    post = service.client.post
    assert post("/ask/echo", content=b'{"name"').status_code == 400
    assert post("/ask/echo", content=b"[" * 100_000).status_code == 422
    assert post("/send/text", content=b'"' + b"\\ud800" * 9 + b'"').status_code in (400, 422)
    wrong = post("/ask/echo", json={"name": 3})
    assert (wrong.status_code, wrong.json()["error"]) == (
        422,
        "Expected `str`, got `int` - at `$.name`",
    )
    assert post("/send/nobody", json={}).status_code == 404
    assert service.client.get("/stream/nobody").status_code == 404
    assert service.client.get("/send/echo").status_code == 405
    head = b"POST /flow/send/echo HTTP/1.1\r\nhost: here\r\n"
    # The default bound, 1 MiB, told beforehand or counted.
    told = raw(service, head + b"content-length: 1048577\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 413")
    chunk = b"10000\r\n" + b" " * 2**16 + b"\r\n"
    counted = raw(service, head + b"transfer-encoding: chunked\r\n\r\n" + 17 * chunk)
    assert counted.startswith(b"HTTP/1.1 413")
    assert raw(service, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    asks(service)


def test_a_client_that_leaves_before_its_answer_harms_nobody(service: Server) -> None:
    """X6: neither its connection nor its question is left."""
    files = descriptors(service)
    with service.connect() as stream:
        body = b'{"name": "wait"}'
        head = b"POST /flow/ask/echo HTTP/1.1\r\nhost: here\r\ncontent-length: 16\r\n\r\n"
        stream.sendall(head + body)
        service.told("it waits")
    with event_streams(service, "/flow/stream/text", 3) as streams:
        service.client.post("/send/text", json=5)
        for stream in streams:
            assert b'"xxxxx"' in read_until(stream, b"\n\n")
    service.client.post("/send/opener", json={"name": "now"})
    asks(service)
    wait_for_descriptors(service, files)


def test_who_returns_is_sent_what_it_has_missed(service: Server) -> None:
    with event_streams(service, "/flow/stream/text", 1) as (stream,):
        service.client.post("/send/text", json=1)
        last = re.search(rb"id: (\S+)", read_until(stream, b"\n\n"))
    assert last is not None
    for length in (2, 3):
        service.client.post("/send/text", json=length)
    with service.connect() as stream:
        head = b"GET /flow/stream/text HTTP/1.1\r\nhost: here\r\nlast-event-id: "
        stream.sendall(head + last[1] + b"\r\n\r\n")
        both = read_until(stream, b'"xxx"')
    assert re.findall(rb'data: "(x*)"', both) == [b"xx", b"xxx"]


def stalling(server: Server) -> socket.socket:
    """Open an event stream of which the system takes in as little as possible."""
    stream = socket.socket()
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stream.settimeout(LIMIT)
    stream.connect((server.host, server.port))
    stream.sendall(b"GET /flow/stream/text HTTP/1.1\r\nhost: here\r\n\r\n")
    read_until(stream, b"\r\n\r\n")
    return stream


def test_a_client_that_does_not_read_holds_up_nobody(service: Server) -> None:
    """Bounded memory: 64 MiB go by, of which it has a part, and is told how much it has missed."""
    with ExitStack() as stack:
        slow = stack.enter_context(stalling(service))
        (quick,) = stack.enter_context(event_streams(service, "/flow/stream/text", 1))
        before = resident(service.process.pid)
        for _ in range(64):
            assert service.client.post("/send/text", json=MIB).status_code == 202
            assert b"missed" not in read_until(quick, b"\n\n")
        assert resident(service.process.pid) - before < 48 * MIB
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MIB)
        read_until(slow, b"event: missed\ndata: ")
    asks(service)


def test_thousands_of_connections_that_say_nothing_more(service: Server) -> None:
    """X6: the service goes on, with bounded memory, and none of them is left."""
    files, before = descriptors(service), resident(service.process.pid)
    with ExitStack() as stack:
        for number in range(HALF_OPEN):
            stream = stack.enter_context(service.connect())
            if number % 2:
                stream.sendall(b"POST /flow/send/echo HTTP/1.1\r\nhost: here\r\ncontent-le")
        asks(service)
        wait_for_descriptors(service, files + HALF_OPEN, at_least=True)
        asks(service)
        assert resident(service.process.pid) - before < HALF_OPEN * MIB // 16
    wait_for_descriptors(service, files)


def descriptors(server: Server) -> int:
    """Return how many files and sockets it has open, that of our own client among them."""
    asks(server)
    return int(psutil.Process(server.process.pid).num_fds())


def wait_for_descriptors(server: Server, count: int, *, at_least: bool = False) -> None:
    """Wait until the service has so many files and sockets open; a look is a turn of its loop."""
    while descriptors(server) < count if at_least else descriptors(server) > count:
        pass


def test_what_was_accepted_is_accounted_for_after_sigterm(service: Server) -> None:
    """X12, X25: under load, with a hundred streams open, and a client that does not read.

    The streams end in order, whoever waits is answered, and the drain report adds up.
    """
    told = Counter[int]()
    for name in ["bad"] * 2 + ["bad at first"] * 3 + ["good"] * 20:
        told[service.client.post("/send/held", json={"name": name}).status_code] += 1
    for _ in range(3):
        told[service.client.post("/send/stuck", json={"name": "any"}).status_code] += 1
    assert told == {202: 28}
    accepted = threading.Semaphore(0)

    def load() -> Counter[int]:
        told = Counter[int]()
        with closing(HTTPConnection(service.host, service.port, timeout=LIMIT)) as client:
            while True:
                try:
                    client.request("POST", "/flow/send/held", body=json.dumps({"name": "load"}))
                    answer = client.getresponse()
                    answer.read()
                except (HTTPException, OSError):  # there is no service any more
                    return told
                told[answer.status] += 1
                accepted.release()

    with ExitStack() as stack:
        stalled = stack.enter_context(stalling(service))
        for _ in range(12):
            service.client.post("/send/text", json=MIB)
        streams = stack.enter_context(event_streams(service, "/flow/stream/text", STREAMS))
        pool = stack.enter_context(ThreadPoolExecutor(8))
        loads = [pool.submit(load) for _ in range(8)]
        for _ in range(30):
            accepted.acquire()
        service.process.send_signal(signal.SIGTERM)
        for stream in streams:
            read_until(stream, b"0\r\n\r\n")
        for each in loads:
            told += each.result(LIMIT)
        (line,) = service.told("hard: drained in")
        assert service.process.poll() is None  # it still waits for one client
        stalled.close()
    assert service.wait() == -signal.SIGTERM
    found = re.search(
        r"(\d+) acknowledged, (\d+) redelivered, (\d+) dead-lettered, (\d+) abandoned", line
    )
    assert found is not None, line
    acknowledged, redelivered, dead, abandoned = map(int, found.groups())
    assert set(told) <= {202, 503}, told
    assert told[202] == acknowledged + dead + abandoned, (told, line)
    # If the machine stands still meanwhile, what was to crash is abandoned too.
    assert (redelivered <= 5, dead <= 2, abandoned >= 3) == (True, True, True), line
    assert "cut short: stuck" in line
    assert "Traceback" not in service.log


def test_a_second_sigterm_cancels(tmp_path: Path) -> None:
    """X12: what was in hand is given up at once; it would have had 1,000 s."""
    with serving(APP, tmp_path, replace=("drain_budget=2.5", "drain_budget=1_000")) as server:
        assert server.client.post("/send/stuck", json={"name": "any"}).status_code == 202
        server.process.send_signal(signal.SIGTERM)
        server.told("stuck while it drains")
        assert server.stop(signal.SIGTERM) == -signal.SIGTERM
        (line,) = server.told("hard: drained in")
    told = " s, cancelled: 0 acknowledged, 0 redelivered, 0 dead-lettered, 1 abandoned"
    assert told in line
    assert "Traceback" not in server.log


def test_a_workflow_that_fails_ends_the_process(tmp_path: Path) -> None:
    """As by SIGTERM: what is asked then is answered, and the log says why."""
    with serving(APP, tmp_path) as server:
        answer = server.client.post("/ask/fatal", json={"name": "on purpose"})
        assert answer.status_code in (500, 503)
        assert server.wait() == -signal.SIGTERM
    (line,) = server.told("workflow hard failed")
    assert "on purpose" in line
    assert "hard: it had ended before: failed: 'fatal' failed" in server.log
    assert "Application shutdown complete" in server.log
