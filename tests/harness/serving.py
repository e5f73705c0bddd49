"""Real servers, as processes of their own, over real sockets."""

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]  # it has no annotations
import pytest
from attrs import define, field

LIMIT = 120.0
"""Seconds; for a machine that stands still now and then."""

# Not `--fd`: connections to that wait for each other's acknowledgements, 40 ms each.
UVICORN = ("uvicorn", "--port", "0", "--no-access-log", "{app}")
UVICORN_RUNS = "Uvicorn running on http://127.0.0.1:"


@define(eq=False)
class Server:
    """A server process, and what it has logged so far."""

    process: "subprocess.Popen[str]"
    host: str
    port: int
    lines: list[str] = field(factory=list)
    _news: threading.Condition = field(factory=threading.Condition)
    _reader: threading.Thread = field(init=False)
    _is_over: bool = False

    def __attrs_post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, name="reader of a server's log")
        self._reader.start()

    @cached_property
    def client(self) -> httpx.Client:
        """Has `/flow` as its base."""
        return httpx.Client(base_url=f"http://{self.host}:{self.port}/flow", timeout=LIMIT)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._is_over = True
            self._news.notify_all()

    def told(self, words: str, times: int = 1) -> list[str]:
        """Wait until lines of the log hold `words`, so many times, and return those lines."""
        with self._news:
            assert self._news.wait_for(
                lambda: self._is_over or len(self._holding(words)) >= times, LIMIT
            ), f"the log does not say {words!r}:\n{self.log}"
            found = self._holding(words)
        assert len(found) >= times, f"the log does not say {words!r}:\n{self.log}"
        return found

    def _holding(self, words: str) -> list[str]:
        return [line for line in self.lines if words in line]

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def wait(self) -> int:
        """Wait for the end of the process and of its log; return its exit code."""
        code = self.process.wait(LIMIT)
        self._reader.join(LIMIT)
        return code

    def stop(self, signal_number: int) -> int:
        """Send a signal and wait for the end; return the exit code."""
        self.process.send_signal(signal_number)
        return self.wait()

    def connect(self) -> socket.socket:
        """Return a connection that nothing was sent over."""
        return socket.create_connection((self.host, self.port), timeout=LIMIT)

    def signal_all(self, signal_number: int) -> None:
        """Send a signal to the process and all of its children, as a terminal does."""
        os.killpg(self.process.pid, signal_number)

    def close(self) -> None:
        with suppress(ProcessLookupError):
            self.signal_all(signal.SIGKILL)
        self.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def serving(
    app: Path,
    folder: Path,
    command: Sequence[str] = UVICORN,
    *,
    replace: tuple[str, str] = ("", ""),
) -> Generator[Server]:
    """Run a server of `app.app`.

    Args:
        folder: where a copy of the file is put, and the process runs.
        command: what `python -m` runs; `{fd}` and `{app}` are filled in.
        replace: a text of the app's file, and what stands there instead.
    """
    (folder / "served.py").write_text(app.read_text().replace(*replace))
    with socket.socket() as listener:
        # Bound and listening before the server starts: whoever connects waits for it, no polling.
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        filled = [part.format(fd=listener.fileno(), app="served:app") for part in command]
        process = subprocess.Popen(
            [sys.executable, "-m", *filled],
            cwd=folder,
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        server = Server(process, *listener.getsockname())
    try:
        if command == UVICORN:  # it says itself where it listens
            (line,) = server.told(UVICORN_RUNS)
            server.port = int(line.split(UVICORN_RUNS)[1].split()[0])
        with server.client:
            yield server
    finally:
        server.close()


def read_until(stream: socket.socket, end: bytes) -> bytes:
    """Read until `end` was seen, and perhaps a bit more."""
    data = bytearray()
    looked = 0
    while data.find(end, looked) < 0:
        looked = max(0, len(data) - len(end))
        part = stream.recv(65536)
        assert part, f"the connection ended after {bytes(data[-500:])!r}"
        data += part
    return bytes(data)


@contextmanager
def event_streams(server: Server, path: str, count: int) -> Generator[list[socket.socket]]:
    """Open so many event streams; each has begun when the block does."""
    with ExitStack() as stack:
        streams = [stack.enter_context(server.connect()) for _ in range(count)]
        for stream in streams:
            stream.sendall(f"GET {path} HTTP/1.1\r\nhost: here\r\n\r\n".encode())
        for stream in streams:
            assert read_until(stream, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        yield streams


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    return int(psutil.Process(pid).memory_info().rss)


@contextmanager
def open_files(count: int) -> Generator[None]:
    """Let this process, and those that it starts, have so many files open.

    Where the machine does not allow that, the test is skipped.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"no process here may open {count} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
