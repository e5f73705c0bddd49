"""Drive the service with many clients at once, end it with SIGTERM, and tell how it went.

    python load.py [SECONDS]            # or: make embed-demo

Starts `fastapi_service` under uvicorn, sends readings from 32 connections, follows the stream of
counts, and checks after the drain that every reading that was accepted was counted.
"""

import asyncio
import json
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import httpx

CLIENTS = 32
HERE = Path(__file__).parent


async def client(http: httpx.AsyncClient, number: int, until: float, took: list[float]) -> None:
    """Send readings one after the other, and note how long each took."""
    sent = 0
    while not sent or time.perf_counter() < until:
        began = time.perf_counter()
        reading = {"sensor": f"s{number}", "value": (number * 7 + sent) % 100}
        answer = await http.post("/flow/send/validate", json=reading)
        answer.raise_for_status()
        took.append((time.perf_counter() - began) * 1e3)
        sent += 1


async def drive(url: str, seconds: float) -> list[float]:
    """Return the milliseconds of each request that was accepted."""
    took: list[float] = []
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as http:
        until = time.perf_counter() + seconds
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(client(http, number, until, took))
    return took


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
    took = asyncio.run(drive(url, seconds))
    server.send_signal(signal.SIGTERM)
    with server:
        log = server.stderr.read()
    follower.join()
    cuts = statistics.quantiles(took, n=100)
    print(f"{len(took)} readings accepted in {seconds:g} s: {len(took) / seconds:.0f} per second")
    print(f"latency: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms")
    print(f"{len(windows)} windows followed, with {sum(windows)} readings")
    told = [line for line in log.splitlines() if "drained in" in line or "counted" in line]
    print("\n".join(told) or log)
    if not any(line.endswith(f"counted {len(took)} readings") for line in told):
        print("the service has not counted what it has accepted", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0))
