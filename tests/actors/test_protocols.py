"""`Runnable` and `Streamable`: told by their methods, with nothing imported by the user."""

from collections.abc import AsyncIterator
from typing import Any

from trouper import Runnable, Streamable


class Animal: ...


class Dog(Animal): ...


class Fetch:
    async def execute(self, ctx: Animal) -> Dog:
        return Dog()


class Monitor:
    async def run(self, context: Animal) -> AsyncIterator[Dog]:
        yield Dog()


class SeedMonitor:
    # As users write it.
    async def run(self, ctx: Any):  # type: ignore[no-untyped-def]  # noqa: ANN201, RUF100
        yield 1


def test_objects_are_told_by_their_methods() -> None:
    assert isinstance(Fetch(), Runnable)
    assert not isinstance(Fetch(), Streamable)
    assert isinstance(Monitor(), Streamable)
    assert not isinstance(Monitor(), Runnable)


def test_type_checkers_accept_narrower_outputs_and_wider_contexts() -> None:
    task: Runnable[Dog, Animal] = Fetch()
    actor: Streamable[Dog, Animal] = Monitor()
    bare: list[Runnable | Streamable] = [Fetch(), Monitor(), SeedMonitor()]
    assert task is not bare[0]
    assert actor is not bare[1]


def test_they_belong_to_the_face() -> None:
    assert Runnable.__module__ == Streamable.__module__ == "trouper"
