"""A Flask service, which is synchronous, with a graph of actors beside it.

    gunicorn --threads 8 flask_app:app       # in this folder

`POST /orders` with `{"item": "tea", "pieces": 2}` prices an order and books it, `GET /booked` tells
what was booked so far. The run is started once in each process, and drained when that exits:
what was accepted is booked.
"""

import logging
from collections import Counter

import msgspec
from flask import Flask, Response, request

import trouper

logging.basicConfig(level=logging.INFO, format="%(message)s")

PRICES = {"tea": 3, "coffee": 4}


class Order(msgspec.Struct):
    """What a client sends."""

    item: str
    pieces: int = 1


workflow = trouper.Workflow("orders")


@workflow.actor(concurrency=8, max_attempts=1)
async def price(ctx: trouper.ActorContext[None, None, Order, Order]) -> None:
    """Answer with the price; an order that has one is passed on."""
    async for order in ctx:
        await ctx.reply(order.pieces * PRICES[order.item])
        await ctx.send(order)


@workflow.actor(depends_on=[price])
async def book(ctx: trouper.ActorContext[None, None, Order, None]) -> None:
    """Count the pieces of each item."""
    booked: Counter[str] = Counter()
    async for order in ctx:
        booked[order.item] += order.pieces
        ctx.set_result("booked", dict(booked))
    logging.info("drained; booked %s", dict(booked))


# Where this module is imported by each worker, that is after the fork: not with --preload.
run = trouper.open_blocking(workflow).start()
app = Flask(__name__)


@app.post("/orders")
def order() -> Response:
    """Ask for the price; a message of a wrong type is the client's fault."""
    try:
        given = msgspec.json.decode(request.get_data(), type=Order)
    except msgspec.DecodeError as error:
        return Response(str(error), status=422)
    try:
        total = run.ask(given, to=price, timeout=5)
    except trouper.AskFailed:
        return Response(f"no price for {given.item!r}", status=404)
    except trouper.NodeEnded:
        return Response("draining", status=503)
    return Response(msgspec.json.encode({"total": total}), mimetype="application/json")


@app.get("/booked")
def booked() -> dict[str, int]:
    """Tell what was booked so far."""
    found: dict[str, int] = run.results.get("booked", {})
    return found
