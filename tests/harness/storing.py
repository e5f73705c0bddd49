"""Code that runs inside of a run which has a place for its values."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import trouper

T = TypeVar("T")


def in_a_run(raw: Path | str, body: Callable[[], T]) -> T:
    """Return what a function returns, called in a sync task whose run keeps its data in `raw`."""
    kept: list[T] = []

    @trouper.TaskEnvironment("storing").task
    def inside() -> None:
        kept.append(body())

    runner = trouper.with_runcontext(name="r", raw_data_path=str(raw), workspace=False)
    try:
        runner.run(inside)
    except trouper.errors.RuntimeUserError as error:
        raise (error.__cause__ or error) from None
    return kept[0]


async def in_an_async_run(raw: Path | str, body: Callable[[], Awaitable[T]]) -> T:
    """Likewise in an async task."""
    kept: list[T] = []

    @trouper.TaskEnvironment("storing").task
    async def inside() -> None:
        kept.append(await body())

    runner = trouper.with_runcontext(name="r", raw_data_path=str(raw), workspace=False)
    try:
        await runner.run.aio(inside)
    except trouper.errors.RuntimeUserError as error:
        raise (error.__cause__ or error) from None
    return kept[0]


def below(folder: Path) -> list[str]:
    """Return the names of all files below a folder, hidden ones too, and of its empty folders."""
    if not folder.exists():
        return []
    found = [each for each in folder.rglob("*") if each.is_file() or not any(each.iterdir())]
    return sorted(str(each.relative_to(folder)) for each in found)
