"""What a node may take and give through the HTTP face."""

import datetime
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import attrs
import httpx
import msgspec
import pydantic
import pytest
import starlette.applications

import trouper
import trouper.asgi


class Struct(msgspec.Struct):
    at: datetime.date
    n: int = 1


@dataclass
class Data:
    at: datetime.date
    n: int = 1


@attrs.define
class Attrs:
    at: datetime.date
    n: int = 1


class Model(pydantic.BaseModel):
    at: datetime.date
    n: int = pydantic.Field(default=1, ge=1)


class Plain:
    """Nothing can be known of it."""


def taking(type_: Any) -> trouper.Workflow:
    workflow = trouper.Workflow("taking")

    async def relay(ctx: trouper.ActorContext[None, None, Any, Any]) -> AsyncIterator[Any]:
        async for given in ctx:
            assert isinstance(given, type_)
            assert given.at == datetime.date(2026, 1, 31)
            yield given
            await ctx.reply([given])

    relay.__annotations__["ctx"] = trouper.ActorContext[None, None, type_, Any]
    workflow.add(relay, max_attempts=1)
    return workflow


async def asked(type_: Any, body: object) -> httpx.Response:
    lifespan = trouper.asgi.lifespan(taking(type_))
    app = starlette.applications.Starlette(lifespan=lifespan)
    app.mount("/flow", trouper.asgi.router(lifespan))
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client,
    ):
        return await client.post("/flow/ask/relay", json=body)


@pytest.mark.parametrize("type_", [Struct, Data, Attrs, Model])
async def test_json_becomes_the_nodes_type_and_comes_back(type_: Any) -> None:
    answer = await asked(type_, {"at": "2026-01-31", "n": 2})
    assert (answer.status_code, answer.json()) == (200, [{"at": "2026-01-31", "n": 2}])


@pytest.mark.parametrize(
    ("type_", "says"),
    [
        (Struct, "Expected `int`, got `str` - at `$.n`"),
        (Data, "Expected `int`, got `str` - at `$.n`"),
        (Attrs, "Expected `int`, got `str` - at `$.n`"),
        (Model, "n: Input should be a valid integer, unable to parse string as an integer"),
    ],
)
async def test_what_is_wrong_is_told(type_: Any, says: str) -> None:
    answer = await asked(type_, {"at": "2026-01-31", "n": "x"})
    assert (answer.status_code, answer.json()) == (422, {"error": says})


async def test_each_fault_of_a_model_is_told() -> None:
    answer = await asked(Model, {"n": 0})
    says = "at: Field required; n: Input should be greater than or equal to 1"
    assert (answer.status_code, answer.json()) == (422, {"error": says})


async def test_a_validator_of_the_models_own_is_told() -> None:
    class Picky:
        @classmethod
        def model_validate(cls, value: object) -> "Picky":
            raise ValueError(f"not {value!r}")

    answer = await asked(Picky, 1)
    assert (answer.status_code, answer.json()) == (422, {"error": "not 1"})


async def test_a_type_that_no_json_makes_is_the_services_fault() -> None:
    answer = await asked(Plain, {"at": "2026-01-31"})
    assert answer.status_code == 501
    assert "'relay' takes what JSON can't carry" in answer.json()["error"]


async def test_a_model_is_an_event_of_a_stream() -> None:
    lifespan = trouper.asgi.lifespan(taking(Model))
    app = starlette.applications.Starlette(lifespan=lifespan)
    async with lifespan(app):
        hub = await lifespan.hub("relay")
        assert hub is not None
        events = hub.events(None)
        await lifespan.run.send(Model(at=datetime.date(2026, 1, 31), n=2), to="relay")
        assert b'data: {"at":"2026-01-31","n":2}' in await anext(events)
