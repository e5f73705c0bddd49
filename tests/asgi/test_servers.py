"""Real servers, as processes of their own, over real sockets."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

SERVERS = {
    "uvicorn": ["uvicorn", "tests_app:app", "--fd", "{fd}"],
    "hypercorn on asyncio": ["hypercorn", "--bind", "fd://{fd}", "tests_app:app"],
    "hypercorn on trio": ["hypercorn", "-k", "trio", "--bind", "fd://{fd}", "tests_app:app"],
}
APP = Path(__file__).parent / "app.py"
LIMIT = 120.0
"""Seconds; for a machine that stands still now and then."""


@contextmanager
def serving(server: str, tmp_path: Path) -> Generator[tuple[httpx.Client, subprocess.Popen[str]]]:
    (tmp_path / "tests_app.py").write_text(APP.read_text())
    with socket.socket() as listener:
        # Bound and listening before the server starts: whoever connects waits for it, no polling.
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port, fd = listener.getsockname()[1], listener.fileno()
        command = [part.format(fd=fd) for part in SERVERS[server]]
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            pass_fds=[fd],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/flow", timeout=LIMIT) as client:
            yield client, process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("server", SERVERS)
def test_a_service_from_start_to_drain(server: str, tmp_path: Path) -> None:
    """Starts with the app, answers, streams, and ends open streams when SIGTERM comes."""
    with serving(server, tmp_path) as (client, process):
        assert client.get("/readyz").json() == {"ready": True, "why": ""}
        answer = client.post("/ask/price", json={"item": "a", "pieces": 3})
        assert (answer.status_code, answer.json()) == (200, {"total": 6, "custom": {}})
        with client.stream("GET", "/stream/count") as events:
            lines = events.iter_lines()
            for number in range(3):
                assert client.post("/send/count", json=number).status_code == 202
            seen = [json.loads(line[6:]) for line in take(lines, 3, "data: ")]
            assert seen == [{"number": number} for number in range(3)]
            if server == "uvicorn":  # hypercorn's workers hear no signal, and cut open responses
                process.send_signal(signal.SIGTERM)
                assert not [line for line in lines if line.startswith("data: ")]
        if server != "uvicorn":
            process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=LIMIT)
    assert "orders: drained in" in out
    assert "Traceback" not in out


def take(lines: "object", count: int, prefix: str) -> list[str]:
    found: list[str] = []
    for line in lines:  # type: ignore[attr-defined]  # an iterator of str
        if line.startswith(prefix):
            found.append(line)
            if len(found) == count:
                break
    return found


def test_a_hundred_open_streams_end_at_sigterm(tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path) as (client, process):
        assert client.get("/healthz").json() == {"alive": True}
        with socket_streams(client, 100) as streams:
            assert client.post("/send/count", json=1).status_code == 202
            for stream in streams:
                assert b'data: {"number":1}' in read_until(stream, b"\n\n")
            process.send_signal(signal.SIGTERM)
            for stream in streams:
                read_until(stream, b"0\r\n\r\n")  # the last chunk of a body that has ended in order
        out, _ = process.communicate(timeout=LIMIT)
    assert "orders: drained in" in out


@contextmanager
def socket_streams(client: httpx.Client, count: int) -> Generator[list[socket.socket]]:
    host, port = client.base_url.host, client.base_url.port
    assert port is not None
    streams = [socket.create_connection((host, port), timeout=LIMIT) for _ in range(count)]
    try:
        for stream in streams:
            stream.sendall(b"GET /flow/stream/count HTTP/1.1\r\nhost: here\r\n\r\n")
        for stream in streams:
            read_until(stream, b"\r\n\r\n")
        yield streams
    finally:
        for stream in streams:
            stream.close()


def read_until(stream: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        part = stream.recv(4096)
        assert part, f"the connection ended after {data!r}"
        data += part
    return data


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
