"""Drive the service with many clients at once, end it with SIGTERM, and tell how it went.

    python load.py [SECONDS]            # or: make embed-demo

Starts `fastapi_service` under uvicorn, sends readings over 32 connections, some of them senseless,
and follows the stream of counts. SIGTERM comes in the middle of it; after the drain every reading
that was accepted has to be counted or refused. Its clients do no more than they must, and pause
between two readings: what is measured is the service, not who measures.
"""

import asyncio
import itertools
import json
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import httpx

CLIENTS = 32
PAUSE = 0.05
"""Seconds from one reading of a client to its next, if the service is as fast."""
HERE = Path(__file__).parent


class Load:
    """Clients that send readings one after the other until the service ends."""

    def __init__(self, url: str) -> None:
        self._host, _, port = url.removeprefix("http://").rpartition(":")
        self._port = int(port)
        self.took: list[float] = []
        """Milliseconds of each request that was accepted."""
        self._has_begun = asyncio.Event()

    async def run(self, seconds: float, end: Callable[[], object]) -> None:
        """Put load on the service, and call `end` in the middle of it."""
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(self._client(number))
            await asyncio.sleep(seconds)
            await self._has_begun.wait()  # on a machine that hardly moves
            end()

    async def _client(self, number: int) -> None:
        try:
            await self._send_readings(number)
        except (OSError, asyncio.IncompleteReadError):
            pass  # it takes no more connections
        finally:
            self._has_begun.set()

    async def _send_readings(self, number: int) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        due = time.perf_counter() + PAUSE * number / CLIENTS  # not all at the same moment
        try:
            for sent in itertools.count():
                await asyncio.sleep(due - time.perf_counter())
                began = time.perf_counter()
                value = 1_000 if sent % 10 == 9 else (number * 7 + sent) % 100
                writer.write(request({"sensor": f"s{number}", "value": value}))
                status = await answer(reader)
                if status == 503:
                    return  # it drains
                if status != 202:
                    raise SystemExit(f"the service has answered {status}")
                self.took.append((time.perf_counter() - began) * 1e3)
                if len(self.took) >= CLIENTS:
                    self._has_begun.set()
                due = began + PAUSE
        finally:
            writer.close()


def request(reading: dict[str, object]) -> bytes:
    """Return a POST of one reading, on a connection that is kept."""
    body = json.dumps(reading).encode()
    return b"POST /readings HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n%b" % (
        *(len(body), body),
    )


async def answer(reader: asyncio.StreamReader) -> int:
    """Read an answer to its end, and return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
    await reader.readexactly(int(length[1]) if length else 0)
    return int(head.split()[1])


async def drive(url: str, seconds: float, end: Callable[[], object]) -> list[float]:
    """Put load on a service and end it; return how long each request took that was accepted."""
    load = Load(url)
    await load.run(seconds, end)
    return load.took


def follow(url: str, windows: list[int], opened: threading.Event) -> None:
    """Collect the counts of the stream, to its end."""
    try:
        with httpx.stream("GET", f"{url}/flow/stream/window", timeout=None) as events:
            opened.set()
            lines = (line for line in events.iter_lines() if line.startswith("data: "))
            windows.extend(json.loads(line[6:])["readings"] for line in lines)
    finally:
        opened.set()  # also if there is no service


def address(log: Iterable[str]) -> str:
    """Wait until the service says where it listens."""
    for line in log:
        if "running on " in line:
            return line.split("running on ")[1].split()[0]
    raise SystemExit("the service has not started")


def main(seconds: float) -> int:
    """Run the whole demonstration; return the exit code."""
    command = ["uvicorn", "--port", "0", "--no-access-log", "fastapi_service:app"]
    server = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=HERE, stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    url = address(server.stderr)
    windows: list[int] = []
    opened = threading.Event()
    follower = threading.Thread(target=follow, args=(url, windows, opened))
    follower.start()
    opened.wait()
    took = asyncio.run(drive(url, seconds, partial(server.send_signal, signal.SIGTERM)))
    with server:
        log = server.stderr.read()
    follower.join()
    cuts = statistics.quantiles(took, n=100)
    print(f"{len(took)} readings accepted in {seconds:g} s: {len(took) / seconds:.0f} per second")
    print(f"latency: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, {CLIENTS} clients")
    print(f"{len(windows)} windows followed, with {sum(windows)} readings")
    told = [line for line in log.splitlines() if "drain" in line or "counted" in line]
    print("\n".join(told) or log)
    found = re.search(r"counted (\d+) readings, refused (\d+)", log)
    handled = 0 if found is None else int(found[1]) + int(found[2])
    # Of those that were under way at the end some were accepted, and nobody was there to hear it.
    if not len(took) <= handled <= len(took) + CLIENTS:
        print(f"the service has accepted {len(took)} and handled {handled}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0))
