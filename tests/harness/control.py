"""Bodies that are held, limited and ended, and where that is asked of an actor on a stage."""

from typing import Any

import trio

import trouper
from harness.stage import Stage
from trouper.actors._control_point import ControlPoint


def point_of(stage: Stage) -> ControlPoint:
    """Return where the actor meets what is asked of it."""
    control = stage.box.control or ControlPoint(stage.box)
    control.ask(control.asked)
    return control


def collecting(got: list[Any], *, seconds: float = 0) -> Any:
    async def collect(ctx: trouper.ActorContext) -> None:
        async for message in ctx:
            got.append(message)
            if seconds:
                await trio.sleep(seconds)

    return collect


def receiving(got: list[Any]) -> Any:
    async def receive(ctx: trouper.ActorContext) -> None:
        while True:
            got.append(await ctx.receive())

    return receive


def receiving_many(got: list[Any], most: int = 64) -> Any:
    async def receive_many(ctx: trouper.ActorContext) -> None:
        while True:
            got.append(await ctx.receive_many(most))

    return receive_many
