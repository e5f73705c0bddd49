"""`ctx.config.typed(Schema)`: attributes with types, and an object that nobody else has."""

import datetime
import enum
from typing import Any

import msgspec
import pytest

import trouper


class Colour(enum.Enum):
    RED = "red"


class Layer(msgspec.Struct):
    units: int
    drop_out: float = 0.0


class Login(msgspec.Struct):
    name: str
    password: trouper.Secret | None = None
    token: str = ""


class Settings(msgspec.Struct, rename={"learning_rate": "learning-rate"}):
    learning_rate: float = 1e-3
    layers: list[Layer] = []
    by_name: dict[str, Layer] = {}
    best: Layer | None = None
    since: datetime.date | None = None
    colour: Colour = Colour.RED
    logins: tuple[Login, ...] | None = None
    anything: Any = None


FULL: dict[str, Any] = {
    "learning_rate": 0.5,
    "layers": [{"units": 1, "drop-out": 0.5}],
    "by-name": {"a-b": {"units": 2, "drop-out": 0.1}},
    "best": {"units": 3},
    "since": datetime.date(2024, 1, 1),
    "colour": Colour.RED,
    "logins": [
        {"name": "x", "password": trouper.Secret("hunter22"), "token": trouper.Secret("tok1")}
    ],
    "anything": {"a-b": [1]},
    "unknown": 1,
}


def test_it_has_the_types_of_the_schema() -> None:
    settings = trouper.ProfileConfig(FULL).typed(Settings)
    assert settings.learning_rate == 0.5
    assert settings.layers == [Layer(1, 0.5)]
    assert settings.by_name == {"a-b": Layer(2, 0.1)}
    assert settings.best == Layer(3)
    assert settings.since == datetime.date(2024, 1, 1)
    assert settings.anything == {"a-b": [1]}
    assert settings.logins is not None
    (login,) = settings.logins
    assert login.password == trouper.Secret("hunter22")
    assert "hunter22" not in repr(login)
    assert login.token == "tok1"
    assert trouper.ProfileConfig().typed(Settings) == Settings()


def test_what_is_done_to_it_is_done_to_nobody_else() -> None:
    """F18"""
    config = trouper.ProfileConfig(FULL)
    before = config.to_dict()
    mine = config.typed(Settings)
    mine.layers[0].units = 9
    mine.layers.append(Layer(4))
    mine.anything["a-b"].append(2)
    assert config.to_dict() == before
    assert config.typed(Settings).layers == [Layer(1, 0.5)]


def test_what_does_not_fit_is_named() -> None:
    config = trouper.ProfileConfig({"layers": [{"units": "two"}]}, name="big")
    with pytest.raises(
        ValueError,
        match=r"^config of the profile 'big' is no Settings: .*`int`.*layers\[0\]\.units",
    ):
        config.typed(Settings)
    with pytest.raises(ValueError, match=r"^config is no Layer: .*`units`"):
        trouper.ProfileConfig().typed(Layer)


def test_a_schema_may_forbid_what_it_does_not_know() -> None:
    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        batch_size: int = 1

    assert trouper.ProfileConfig({"batch-size": 2}).typed(Strict).batch_size == 2
    with pytest.raises(ValueError, match="unknown field `batch-sise`"):
        trouper.ProfileConfig({"batch-sise": 2}).typed(Strict)


async def test_a_task_reads_its_configuration_with_types() -> None:
    wf = trouper.Workflow()
    read: list[Settings] = []

    @wf.task
    async def train(ctx: trouper.TaskContext) -> None:
        read.append(ctx.config.typed(Settings))

    (await wf.execute(config={"learning_rate": 2})).unwrap()
    assert read == [Settings(learning_rate=2.0)]
