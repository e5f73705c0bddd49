"""What a service holds in memory while many clients follow one of its event streams.

A process of its own: `python -m benchmarks._streams` is the service.
"""

import resource
import selectors
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import IO, cast
from urllib.request import Request, urlopen

import psutil  # type: ignore[import-untyped]  # it has no annotations

import trouper
import trouper.asgi

from ._measure import Contest, Scale

RUNS = "Uvicorn running on http://127.0.0.1:"
MIB = 2**20


def _serve() -> None:
    import uvicorn
    from starlette.applications import Starlette

    workflow = trouper.Workflow("streams")

    @workflow.actor
    async def numbers(ctx: trouper.ActorContext[None, None, int, int]) -> AsyncIterator[int]:
        async for last in ctx:
            for number in range(last + 1):
                yield number

    lifespan = trouper.asgi.lifespan(workflow)
    app = Starlette(lifespan=lifespan)
    app.mount("/", trouper.asgi.router(lifespan))
    uvicorn.run(app, port=0, access_log=False)


@contextmanager
def _service() -> Generator[tuple[int, int]]:
    """Run the service; its process and its port."""
    command = [sys.executable, "-m", "benchmarks._streams"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            log = cast("IO[str]", process.stderr)
            line = next(line for line in log if RUNS in line)
            yield process.pid, int(line.split(RUNS)[1].split()[0])
        finally:
            process.kill()


def _follow(clients: list[socket.socket], last: int) -> None:
    """Read until each has got the last number."""
    ends = dict.fromkeys(clients, b"")
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                client = cast("socket.socket", key.fileobj)
                part = client.recv(65_536)
                ends[client] = (ends[client] + part)[-32:]
                if not part or b"data: %d\n" % last in ends[client]:
                    selector.unregister(client)


def _hold(clients: int, events: int) -> float:
    """Return MiB of a service whose stream so many have followed; every other one never read."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * clients + 100
    if soft < needed and (hard == resource.RLIM_INFINITY or needed <= hard):
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    with ExitStack() as stack:
        pid, port = stack.enter_context(_service())
        address = ("127.0.0.1", port)
        opened = [stack.enter_context(socket.create_connection(address)) for _ in range(clients)]
        for client in opened:
            client.sendall(b"GET /stream/numbers HTTP/1.1\r\nhost: here\r\n\r\n")
        for client in opened:
            client.recv(65_536)
        url = f"http://127.0.0.1:{port}/send/numbers"
        with urlopen(Request(url, data=str(events).encode(), method="POST")):
            _follow(opened[::2], events)
        return float(psutil.Process(pid).memory_info().rss / MIB)


def streams_memory(scale: Scale) -> Contest:
    clients, events = scale.n(1_000, 5), scale.n(5_000, 50)
    return Contest(
        name="streams_memory",
        title="memory of a service, 1,000 clients of one event stream, half of them not reading",
        unit="MiB",
        variants={"trouper": partial(_hold, clients, events)},
        rounds=3,
    )


if __name__ == "__main__":
    _serve()
