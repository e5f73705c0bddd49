"""`trouper.asgi.router`: a small HTTP face of a run, without any authentication of its own."""

import json
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any

import msgspec
import trio
from attrs import frozen
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from ...actors._ask_errors import AskFailed, AskTimeout, NoReply, TargetRestarting
from ...channels._overflow import BufferOverflow
from .._cli_json import jsonable
from .._node_ended import NodeEnded
from .._run import LiveRun
from ..host._far import FarSideEnded
from ..host._hosted import live_of
from ._bodies import Bodies, Body, BodyRefused
from ._gone import while_there
from ._headers import baggage_of, timeout_of, traceparent_of
from ._json import NoJson, decode, encode
from ._service import Lifespan, OtherLoop

MOST_BYTES = 1024 * 1024
MOST_BYTES_AT_ONCE = 64 * MOST_BYTES
MOST_SECONDS = 30.0


class _Json(JSONResponse):
    """Pure ASCII: the text of a failure may hold what UTF-8 can't."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False).encode("ascii")


class _Refusal(Exception):
    """A request that gets an error status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


_STATUS: dict[type[Exception], int] = {
    AskTimeout: 504,
    AskFailed: 500,
    NoReply: 502,
    TargetRestarting: 503,
    NodeEnded: 503,
    FarSideEnded: 503,
    BufferOverflow: 503,
    OtherLoop: 500,
}


@frozen(eq=False)
class _Endpoints:
    lifespan: Lifespan
    bodies: Bodies
    max_timeout: float
    baggage: frozenset[str]

    async def send(self, request: Request) -> Response:
        with self.bodies.body() as body:
            run, node, message, context = await self._message(request, body)
            timeout = timeout_of(request.headers, self.max_timeout)
            most = timeout or self.max_timeout
            named = {"to": node, "timeout": timeout, **context}
            take = partial(_send_within, most, live_of(run), message, named)
            try:
                await while_there(request, partial(run.call_there, take))
            except trio.TooSlowError:
                raise _Refusal(
                    503, f"{node!r} is full, and has not taken the message within {most:g} s"
                ) from None
        return _Json({"accepted": True}, status_code=202)

    async def ask(self, request: Request) -> Response:
        with self.bodies.body() as body:
            run, node, question, context = await self._message(request, body)
            timeout = timeout_of(request.headers, self.max_timeout)
            named = {"to": node, "timeout": timeout or self.max_timeout, **context}
            reply = await while_there(request, partial(run.ask, question, **named))
        return self._answer(node, reply)

    def _answer(self, node: str, reply: Any) -> Response:
        try:
            body = encode(reply)
        except Exception as error:  # any may be in a reply
            raise _Refusal(
                500, f"the reply of {node!r} is nothing that JSON holds: {error}"
            ) from None
        return Response(body, media_type="application/json")

    async def stream(self, request: Request) -> Response:
        try:
            hub = await self.lifespan.hub(request.path_params["node"])
        except ValueError as error:
            raise _Refusal(404, str(error)) from None
        if hub is None:
            raise _Refusal(503, "the service ends")
        events = hub.events(request.headers.get("last-event-id"))
        quiet = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return StreamingResponse(events, media_type="text/event-stream", headers=quiet)

    async def status(self, request: Request) -> Response:
        return _Json(jsonable(self._run().status()))

    async def healthz(self, request: Request) -> Response:
        return _Json({"alive": True})

    async def readyz(self, request: Request) -> Response:
        why = self.lifespan.why_not_ready()
        return _Json({"ready": not why, "why": why}, status_code=503 if why else 200)

    # -- inner parts -------------------------------------------------------------------------

    def _run(self) -> Any:
        try:
            return self.lifespan.run_here()
        except OtherLoop:
            raise
        except RuntimeError as error:
            raise _Refusal(503, str(error)) from None

    async def _message(
        self, request: Request, counted: Body
    ) -> tuple[Any, str, Any, dict[str, Any]]:
        run, node = self._run(), request.path_params["node"]
        if run.has_ended:
            raise _Refusal(503, f"run {run.name!r} has ended")
        try:
            takes = run.input_type(node)
        except ValueError as error:
            raise _Refusal(404, str(error)) from None
        body = await self.bodies.read(request, counted)
        try:
            message = decode(body, takes)
        except msgspec.ValidationError as error:
            raise _Refusal(422, str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _Refusal(400, f"the body is no JSON: {error}") from None
        except NoJson as error:
            raise _Refusal(501, f"{node!r} takes what JSON can't carry: {error}") from None
        context: dict[str, Any] = {"traceparent": traceparent_of(request.headers)}
        custom = baggage_of(request.headers, self.baggage)
        if custom:
            context["custom_context"] = custom
        return run, node, message, context


async def _send_within(seconds: float, live: LiveRun, message: Any, named: dict[str, Any]) -> None:
    """Send where the actors are, so that a message is either taken or too late.

    A node that takes nothing for so long must not gather requests.
    """
    with trio.fail_after(seconds):
        await live.send(message, **named)


def _answering(endpoint: Callable[[Request], Awaitable[Response]]) -> Any:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (_Refusal, BodyRefused) as refusal:
            return _error(refusal.status, refusal)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody hears it
        except tuple(_STATUS) as error:
            return _error(next(s for kind, s in _STATUS.items() if isinstance(error, kind)), error)
        except (TypeError, ValueError) as error:
            return _error(400, error)

    return answer


def _error(status: int, error: Exception) -> Response:
    return _Json({"error": str(error)}, status_code=status)


def router(
    lifespan: Lifespan,
    *,
    max_bytes: int = MOST_BYTES,
    max_bytes_at_once: int = MOST_BYTES_AT_ONCE,
    max_timeout: float = MOST_SECONDS,
    baggage: Collection[str] = (),
) -> Router:
    """Return an ASGI app to mount: `app.mount("/flow", trouper.asgi.router(lifespan))`.

    `POST /send/{node}` and `POST /ask/{node}` take JSON of the node's message type, `GET
    /stream/{node}` gives server-sent events, `GET /status`, `/healthz` and `/readyz` tell of the
    run. It has no authentication of its own.

    Args:
        lifespan: of the app that this is mounted in; `trouper.asgi.lifespan(wf)`.
        max_bytes: of a body; a larger one gets 413.
        max_bytes_at_once: of all bodies whose requests are under way, beyond 16 KiB of each; what
            is too much gets 503.
        max_timeout: seconds that a request may ask for (`Request-Timeout`), and that a question has
            if it does not say; and that a body may take to come, and a message to be taken.
        baggage: keys of the W3C `baggage` header that become `custom_context`.

    Raises:
        TypeError, ValueError: an argument is not legal.
    """
    if not isinstance(lifespan, Lifespan):  # pyright: ignore[reportUnnecessaryIsInstance]  # from anybody
        raise TypeError(f"router() takes what trouper.asgi.lifespan(wf) gives, got {lifespan!r}")
    if isinstance(baggage, str):
        raise TypeError(f"baggage takes a collection of keys, got {baggage!r}; write [{baggage!r}]")
    if max_bytes < 1 or max_bytes_at_once < 1 or not max_timeout > 0:
        raise ValueError(
            "max_bytes, max_bytes_at_once and max_timeout have to be above 0, got "
            f"{max_bytes}, {max_bytes_at_once} and {max_timeout}"
        )
    bodies = Bodies(max_bytes=max_bytes, max_total=max_bytes_at_once, seconds=max_timeout)
    at = _Endpoints(lifespan, bodies, max_timeout, frozenset(baggage))
    return Router(
        [
            Route("/send/{node:path}", _answering(at.send), methods=["POST"]),
            Route("/ask/{node:path}", _answering(at.ask), methods=["POST"]),
            Route("/stream/{node:path}", _answering(at.stream), methods=["GET"]),
            Route("/status", _answering(at.status), methods=["GET"]),
            Route("/healthz", _answering(at.healthz), methods=["GET"]),
            Route("/readyz", _answering(at.readyz), methods=["GET"]),
        ]
    )


router.__module__ = "trouper.asgi"
