"""A service that counts what it is sent: HTTP in, a graph of actors, server-sent events out.

    uvicorn fastapi_service:app         # in this folder; then open http://127.0.0.1:8000

`POST /readings` takes readings as JSON, one or a list, `GET /flow/stream/window` gives the counts
of each second. SIGTERM or Ctrl-C drains: what was accepted is counted before the process ends, and
the log says what became of it.
"""

import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

import trouper
import trouper.asgi

WINDOW = 1.0
"""Seconds."""
SENSIBLE = (-50.0, 150.0)
"""What a sensor can measure."""

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")


class Reading(msgspec.Struct):
    """What a client sends."""

    sensor: str
    value: float


ONE_OR_MORE: msgspec.json.Decoder[Reading | list[Reading]] = msgspec.json.Decoder(
    Reading | list[Reading]
)


class Enriched(msgspec.Struct):
    """A reading, and what the service knows of it."""

    sensor: str
    value: float
    level: str
    at: float


class Window(msgspec.Struct):
    """What came within a second."""

    second: int
    readings: int
    by_level: dict[str, int]


workflow = trouper.Workflow("readings")


@workflow.actor(capacity=256, max_attempts=1)
async def validate(
    ctx: trouper.ActorContext[None, None, Reading, Reading],
) -> AsyncIterator[Reading]:
    """Let through what makes sense; what does not is a dead letter that says why."""
    low, high = SENSIBLE
    async for reading in ctx:
        if low <= reading.value <= high:
            yield reading
        else:
            ctx.reject(f"{reading.sensor} has measured {reading.value:g}")


@workflow.actor(depends_on=[validate])
async def enrich(
    ctx: trouper.ActorContext[None, None, Reading, Enriched],
) -> AsyncIterator[Enriched]:
    """Say how high a value is."""
    async for reading in ctx:
        level = "high" if reading.value > 90 else "normal"
        yield Enriched(reading.sensor, reading.value, level, time.time())


@workflow.actor(depends_on=[enrich])
async def window(ctx: trouper.ActorContext[None, None, Enriched, Window]) -> AsyncIterator[Window]:
    """Count what comes within each second; the last one, however short, before the end."""
    counts: Counter[str] = Counter()
    total = 0
    ends = trio.current_time() + WINDOW
    while True:
        with trio.move_on_at(ends):
            async for reading in ctx:
                counts[reading.level] += 1
                total += 1
                if trio.current_time() >= ends:
                    break
            else:
                break  # the input has ended
        ctx.set_result("counted", total)
        yield Window(int(time.time()), counts.total(), dict(counts))
        counts.clear()
        ends += WINDOW
    ctx.set_result("counted", total)
    yield Window(int(time.time()), counts.total(), dict(counts))


lifespan = trouper.asgi.lifespan(workflow)


@asynccontextmanager
async def life(app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
    """What the service itself has to do goes around the run, or inside of it."""
    async with lifespan(app) as state:
        yield state
    result = lifespan.result
    if result is not None and result.drain is not None:
        for name, did in result.drain.actors.items():
            logging.info(
                "drain: %s acknowledged %d, gave up %d, left %d",
                *(name, did.acknowledged, did.dead_lettered, did.abandoned),
            )
        counted = result.results.get("counted", 0)
        refused = result.nodes["validate"].dead_lettered
        logging.info("counted %d readings, refused %d", counted, refused)


app = FastAPI(title="readings", lifespan=life)
app.mount("/flow", trouper.asgi.router(lifespan))

PAGE = """<!doctype html><title>readings</title>
<h1>Readings per second</h1><pre id="log"></pre>
<script>
const log = document.getElementById("log")
new EventSource("/flow/stream/window").onmessage = event => {
  const w = JSON.parse(event.data)
  const when = new Date(w.second * 1000).toLocaleTimeString()
  log.textContent = `${when}  ${w.readings}  ${JSON.stringify(w.by_level)}\\n` + log.textContent
}
</script>"""


@app.post("/readings")
async def ingest(request: Request) -> Response:
    """Take readings; it waits while the graph is full. 202: they will be counted."""
    try:
        given = ONE_OR_MORE.decode(await request.body())
    except msgspec.DecodeError as error:
        return Response(str(error), status_code=422)
    try:
        for reading in given if isinstance(given, list) else [given]:
            await lifespan.run.send(reading, to=validate)
    except trouper.NodeEnded:
        return Response("draining", status_code=503)
    return Response(status_code=202)


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    """Show the counts as they come."""
    return PAGE


@app.get("/counted")
async def counted() -> dict[str, int]:
    """Return how many readings were counted so far."""
    counted: int = lifespan.run.results.get("counted", 0)
    return {"counted": counted}
