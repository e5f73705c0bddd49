"""The HTTP face of a run: what each request gets."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import starlette.applications
import trio
import trio.testing

import trouper
import trouper.asgi


class Order(msgspec.Struct):
    item: str
    pieces: int = 1


NO_TEXT = "\ud800"
"""What JSON can hold, and UTF-8 can't."""
ODD: dict[str, object] = {"odd": object(), "odd text": NO_TEXT}


def orders() -> trouper.Workflow:
    workflow = trouper.Workflow("orders")

    @workflow.actor(max_attempts=1)
    async def price(ctx: trouper.ActorContext[None, None, Order, None]) -> None:
        async for order in ctx:
            if order.item == "bad":
                raise ValueError("bad item")
            if order.item == "slow":
                await trio.sleep_forever()
            if order.item == "bad text":
                raise ValueError(NO_TEXT)
            if order.item in ODD:
                await ctx.reply(ODD[order.item])
            if order.item != "silent":
                message = ctx.message
                assert message is not None
                trace = message.context.traceparent
                await ctx.reply({"total": order.pieces * 2, **ctx.custom_context, "trace": trace})

    @workflow.actor
    async def count(ctx: trouper.ActorContext[None, None, int, Any]) -> AsyncIterator[Any]:
        async for number in ctx:
            yield {-1: {number: object}, -2: NO_TEXT}.get(number, number)

    return workflow


@asynccontextmanager
async def serving(
    **options: Any,
) -> AsyncGenerator[tuple[httpx.AsyncClient, trouper.asgi.Lifespan]]:
    lifespan = trouper.asgi.lifespan(orders())
    app = starlette.applications.Starlette(lifespan=lifespan)
    app.mount("/flow", trouper.asgi.router(lifespan, **options))
    transport = httpx.ASGITransport(app)
    async with (
        lifespan(app) as state,
        httpx.AsyncClient(transport=transport, base_url="http://here/flow") as client,
    ):
        assert state["trouper"] is lifespan.run
        yield client, lifespan


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_questions() -> None:
    async with serving(baggage=["team"]) as (client, _):
        headers = {"baggage": "team=a%20b;p=1, other=x", "traceparent": TRACE}
        answer = await client.post("/ask/price", json={"item": "a"}, headers=headers)
        assert answer.json() == {"total": 2, "team": "a b", "trace": TRACE}
        several = [("baggage", "other=x"), ("baggage", "team=c")]
        answer = await client.post("/ask/price", json={"item": "a"}, headers=several)
        assert answer.json() == {"total": 2, "team": "c", "trace": None}
        for broken in ([("traceparent", TRACE.upper())], [("traceparent", TRACE)] * 2):
            answer = await client.post("/ask/price", json={"item": "a"}, headers=broken)
            assert answer.json() == {"total": 2, "trace": None}


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "words"),
    [
        ("/ask/price", b'{"item": 3}', {}, 422, "Expected `str`, got `int` - at `$.item`"),
        ("/ask/price", b'{"item"', {}, 400, "no JSON"),
        ("/ask/price", b"\xff\xfe", {}, 400, "no JSON"),
        ("/ask/price", b"[" * 900, {}, 422, "Expected `object`, got `array`"),
        ("/ask/prize", b"{}", {}, 404, "did you mean 'price'"),
        ("/send/prize", b"{}", {}, 404, "did you mean 'price'"),
        ("/send/count", b"1" * 1_001, {}, 413, "1000 bytes"),
        ("/send/count", b"1", {"Request-Timeout": "soon"}, 400, "got 'soon'"),
        ("/send/count", b"1", {"Request-Timeout": "-1"}, 400, "got '-1'"),
        ("/ask/price", b'{"item": "bad"}', {}, 500, "bad item"),
        ("/ask/price", b'{"item": "silent"}', {}, 502, "nobody has replied"),
        ("/ask/price", b'{"item": "bad text"}', {}, 500, NO_TEXT),
        ("/ask/price", b'{"item": "odd"}', {}, 500, "nothing that JSON holds"),
        ("/ask/price", b'{"item": "odd text"}', {}, 500, "nothing that JSON holds"),
    ],
)
async def test_what_can_not_be_answered(
    path: str, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    async with serving(max_bytes=1_000) as (client, _):
        answer = await client.post(path, content=body, headers=headers)
        assert answer.status_code == status
        assert words in answer.json()["error"]


async def test_a_body_of_unknown_length_is_counted() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"1" * 200, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    async with serving(max_bytes=1_000) as (_, lifespan):
        app = trouper.asgi.router(lifespan, max_bytes=1_000)
        await app(post("/send/count"), receive, send)
    assert sent[0]["status"] == 413


def post(path: str) -> dict[str, Any]:
    """Return the scope of a request without any header."""
    return {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}


async def test_bodies_that_do_not_come_to_their_end_take_so_much_room_and_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Bounded memory, however many connections begin a request; small ones pass."""
    told: list[int] = []

    async def begin(app: Any, size: int, *, is_whole: bool = False) -> None:
        parts = [b"1" + b" " * (size - 1)]

        async def receive() -> dict[str, Any]:
            if not parts:
                await trio.sleep_forever()
            return {"type": "http.request", "body": parts.pop(), "more_body": not is_whole}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                told.append(message["status"])

        await app(post("/send/count"), receive, send)

    async with serving() as (_, lifespan):
        options: dict[str, Any] = {"max_bytes": 200_000, "max_bytes_at_once": 250_000}
        app = trouper.asgi.router(lifespan, **options, max_timeout=5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(begin, app, 200_000)
            await trio.testing.wait_all_tasks_blocked()
            await begin(app, 100_000)
            assert told == [503]
            await begin(app, 10_000, is_whole=True)
            assert told == [503, 202]
        assert (told, trio.current_time()) == ([503, 202, 408], 5.0)
        await begin(app, 200_000, is_whole=True)  # all of it was given back
        assert told[3:] == [202]


async def test_a_node_that_takes_nothing_gathers_no_requests(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """X6: who waits for its room is answered in time; a client that goes leaves nothing."""
    sent: list[int] = []

    async def send(message: Any) -> None:
        sent.append(message.get("status", 0))

    async with serving(max_timeout=2.0) as (client, lifespan):
        accepted = 0
        with trio.move_on_after(1):
            while True:
                answer = await client.post("/send/price", json={"item": "slow"})
                accepted += answer.status_code == 202
        answer = await client.post("/send/price", json={"item": "a"})
        assert (answer.status_code, trio.current_time()) == (503, 3.0)
        assert "'price' is full" in answer.json()["error"]
        messages = [{"type": "http.request", "body": b'{"item": "a"}', "more_body": False}]

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else {"type": "http.disconnect"}

        await trouper.asgi.router(lifespan)(post("/send/price"), receive, send)
        assert (sent[0], trio.current_time()) == (499, 3.0)
        (edge,) = [each for each in lifespan.run.status().edges if each.target == "price"]
        assert edge.sent == accepted
        lifespan.run.cancel()


async def test_a_question_of_a_client_that_has_gone_is_given_up() -> None:
    """X6: neither the request nor the question waits for a reply that nobody would hear."""
    sent: list[Any] = []
    gone = trio.Event()
    messages = [{"type": "http.request", "body": b'{"item": "slow"}', "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async with serving() as (_, lifespan):
        app = trouper.asgi.router(lifespan)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app, post("/ask/price"), receive, send)
            await trio.testing.wait_all_tasks_blocked()
            assert not sent
            gone.set()
        assert sent[0]["status"] == 499
        lifespan.run.cancel()


@pytest.mark.parametrize("times", [2, 1_000_000])
async def test_a_body_that_is_told_again_and_again_holds_up_nothing(
    autojump_clock: trio.testing.MockClock, times: int
) -> None:
    """As some adapters do, and middleware once: the loop would go round in that for ever."""
    sent, gone = list[Any](), trio.Event()
    told = {"type": "http.request", "body": b'{"item": "slow"}', "more_body": False}
    messages = iter([told] * times)

    async def receive() -> dict[str, Any]:
        if gone.is_set():
            return {"type": "http.disconnect"}
        message = next(messages, None)
        if message is None:
            await gone.wait()
        return message or {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async with serving() as (_, lifespan):
        app = trouper.asgi.router(lifespan)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app, post("/ask/price"), receive, send)
            await trio.sleep(1)
            assert not sent
            gone.set()
        assert sent[0]["status"] == 499
        lifespan.run.cancel()


async def test_a_message_has_the_deadline_of_its_request(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A `Request-Timeout`, clamped: its handler is cut off then."""
    async with serving(max_timeout=2.0) as (client, lifespan):
        headers = {"Request-Timeout": "3600"}
        answer = await client.post("/send/price", json={"item": "slow"}, headers=headers)
        assert answer.status_code == 202
        await trio.sleep(1.9)
        assert lifespan.run.dead_letters() == ()
        await trio.sleep(0.2)
        assert [each.reason for each in lifespan.run.dead_letters()] == ["expired"]


async def test_a_deadline_is_clamped(autojump_clock: trio.testing.MockClock) -> None:
    async with serving(max_timeout=2.0) as (client, _):
        began = trio.current_time()
        answer = await client.post(
            "/ask/price", json={"item": "slow"}, headers={"Request-Timeout": "3600"}
        )
        assert answer.status_code == 504
        assert trio.current_time() - began == pytest.approx(2.0)


async def test_health_and_status() -> None:
    async with serving() as (client, lifespan):
        await trio.testing.wait_all_tasks_blocked()
        assert (await client.get("/healthz")).json() == {"alive": True}
        assert (await client.get("/readyz")).status_code == 200
        status = (await client.get("/status")).json()
        assert status["nodes"]["price"]["state"] == "running"
        lifespan.run.cancel("on purpose")
        await lifespan.run.wait()
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["why"]) == (503, "cancelled")
        assert (await client.post("/send/count", content=b"1")).status_code == 503
        assert (await client.get("/stream/count")).status_code == 503
    assert lifespan.result is not None
    assert lifespan.result.status == "cancelled"


async def test_nothing_runs_before_the_start() -> None:
    lifespan = trouper.asgi.lifespan(orders())
    app = trouper.asgi.router(lifespan)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        assert (await client.get("/readyz")).json() == {"ready": False, "why": "starting"}
        assert "has not started" in (await client.get("/status")).json()["error"]


async def test_an_app_in_another_loop_is_refused() -> None:
    """Two hosts for one handle: a status that says why, and the service goes on."""
    calls = [("POST", "/ask/price"), ("POST", "/send/price"), ("GET", "/stream/count")]

    async def use(lifespan: trouper.asgi.Lifespan) -> list[tuple[int, str]]:
        transport = httpx.ASGITransport(trouper.asgi.router(lifespan))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            answers = [await client.request(*call, content=b'{"item": "a"}') for call in calls]
            return [(answer.status_code, answer.json()["error"]) for answer in answers]

    async def elsewhere(lifespan: trouper.asgi.Lifespan) -> list[tuple[int, str]]:
        return await trio.to_thread.run_sync(lambda: asyncio.run(use(lifespan)))

    async with serving() as (client, lifespan):
        for status, words in await elsewhere(lifespan):
            assert status == 500
            assert "give each app a lifespan of its own" in words
        assert (await client.post("/ask/price", json={"item": "a"})).status_code == 200
    for use_there in (elsewhere, use):  # after its end it is of no loop any more
        assert [status for status, _ in await use_there(lifespan)] == [503] * 3


async def test_streams_of_what_is_no_node_are_refused() -> None:
    async with serving() as (client, _):
        answer = await client.get("/stream/cuont")
        assert answer.status_code == 404
        assert "did you mean 'count'" in answer.json()["error"]


async def test_who_returns_gets_what_it_has_missed() -> None:
    async with serving() as (_, lifespan):
        hub = await lifespan.hub("count")
        assert hub is not None
        received: list[bytes] = []

        async def read() -> None:
            received.append(await anext(hub.events(None)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            await lifespan.run.send(1, to="count")
        last_id = received[0].split(b"\n")[0].removeprefix(b"id: ").decode()
        for number in (2, 3, -1):
            await lifespan.run.send(number, to="count")
        await lifespan.run.drain()
        await trio.testing.wait_all_tasks_blocked()  # the hub has read all of it
        again = b"".join([lot async for lot in hub.events(last_id)]).decode()
        assert [line for line in again.split("\n") if line.startswith("data: ")][:2] == [
            "data: 2",
            "data: 3",
        ]
        strange = b"".join([lot async for lot in hub.events("other-7")])
        assert strange.count(b"data: ") == 4


async def test_text_that_utf_8_can_not_hold_ends_nothing() -> None:
    """Neither the stream that it is sent to, and with it the service, nor a look at the run."""
    async with serving() as (client, lifespan):
        hub = await lifespan.hub("count")
        assert hub is not None
        await lifespan.run.send(-2, to="count")
        await trio.testing.wait_all_tasks_blocked()
        assert b'data: "\\ud800"\n' in await anext(hub.events("from the first one"))
        await client.post("/ask/price", json={"item": "bad text"})
        (failure,) = (await client.get("/status")).json()["nodes"]["price"]["failures"]
        assert failure["message"] == NO_TEXT


async def test_a_silent_stream_shows_that_it_lives(autojump_clock: trio.testing.MockClock) -> None:
    async with serving() as (_, lifespan):
        hub = await lifespan.hub("count")
        assert hub is not None
        assert await anext(hub.events(None)) == b": still here\n\n"


async def test_who_is_too_slow_is_told_how_much_it_missed() -> None:
    async with serving() as (_, lifespan):
        hub = await lifespan.hub("count")
        assert hub is not None
        for number in range(1_030):
            await lifespan.run.send(number, to="count")
        await lifespan.run.drain()
        await trio.testing.wait_all_tasks_blocked()
        first_id = f"{hub.epoch}-0"
        lots = [lot async for lot in hub.events(first_id)]
        assert lots[0] == b"event: missed\ndata: 6\n\n"
        assert b"".join(lots[1:]).count(b"data: ") == 1_024
        strange = b"".join([lot async for lot in hub.events("none")])
        assert strange.count(b"data: ") == 1_024


def test_arguments_are_checked() -> None:
    with pytest.raises(TypeError, match=r"takes a trouper\.Workflow"):
        trouper.asgi.lifespan("orders")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ValueError, match="drain_budget"):
        trouper.asgi.lifespan(orders(), drain_budget=0)
    with pytest.raises(ValueError, match="'not_ready' or 'exit'"):
        trouper.asgi.lifespan(orders(), on_failure="explode")  # type: ignore[arg-type]  # on purpose
    lifespan = trouper.asgi.lifespan(orders())
    with pytest.raises(TypeError, match="router"):
        trouper.asgi.router(orders())  # type: ignore[arg-type]  # on purpose
    with pytest.raises(TypeError, match="collection of keys"):
        trouper.asgi.router(lifespan, baggage="team")
    wrong: dict[str, Any]
    for wrong in ({"max_bytes": 0}, {"max_bytes_at_once": 0}, {"max_timeout": 0.0}):
        with pytest.raises(ValueError, match="above 0"):
            trouper.asgi.router(lifespan, **wrong)
    with pytest.raises(AttributeError, match="no attribute 'ruoter'"):
        _ = trouper.asgi.ruoter
