"""Drive the service with many clients at once, end it with SIGTERM, and tell how it went.

    python load.py [SECONDS]            # or: make embed-demo

Starts `fastapi_service` under uvicorn, sends readings from 32 connections, some of them senseless,
and follows the stream of counts. SIGTERM comes in the middle of it; after the drain every reading
that was accepted has to be counted or refused.
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
HERE = Path(__file__).parent


class Load:
    """Clients that send readings one after the other until the service ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.took: list[float] = []
        """Milliseconds of each request that was accepted."""
        self._has_begun = asyncio.Event()

    async def run(self, seconds: float, end: Callable[[], object]) -> None:
        """Put load on the service, and call `end` in the middle of it."""
        limits = httpx.Limits(max_connections=CLIENTS)
        async with (
            httpx.AsyncClient(base_url=self._url, limits=limits, timeout=60) as http,
            asyncio.TaskGroup() as clients,
        ):
            for number in range(CLIENTS):
                clients.create_task(self._client(http, number))
            await asyncio.sleep(seconds)
            await self._has_begun.wait()  # on a machine that hardly moves
            end()

    async def _client(self, http: httpx.AsyncClient, number: int) -> None:
        try:
            for sent in itertools.count():
                began = time.perf_counter()
                value = 1_000 if sent % 10 == 9 else (number * 7 + sent) % 100
                reading = {"sensor": f"s{number}", "value": value}
                answer = await http.post("/readings", json=reading)
                if answer.status_code == 503:
                    return  # it drains
                answer.raise_for_status()
                self.took.append((time.perf_counter() - began) * 1e3)
                if len(self.took) >= CLIENTS:
                    self._has_begun.set()
        except httpx.TransportError:
            pass  # it takes no more connections
        finally:
            self._has_begun.set()


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
    print(f"latency: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms")
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
