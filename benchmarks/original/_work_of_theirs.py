"""The tasks on the original SDK. Run by path, in an environment that has it and not trouper."""

import asyncio
import importlib
import sys
from typing import Any, TypeVar

sys.path.insert(0, __file__.rpartition("/")[0])
_serve: Any = importlib.import_module("_serve")
answers = _serve.take_stdout()  # first: the SDK may print while it is imported
sdk: Any = importlib.import_module("flyte")

env = sdk.TaskEnvironment("bench")
F = TypeVar("F")


def task(function: F) -> F:
    """Declare a task; the SDK's own decorator has no types where it is not installed."""
    declared: F = env.task(function)
    return declared


@task
async def increment(n: int) -> int:
    return n + 1


@task
async def same(values: list[int]) -> list[int]:
    return values


@task
async def one_by_one(calls: int) -> int:
    total = 0
    for _ in range(calls):
        total = await increment(total)
    return total


@task
async def side_by_side(calls: int) -> int:
    return len(await asyncio.gather(*(increment(number) for number in range(calls))))


@task
async def with_list(calls: int, length: int) -> int:
    values = list(range(length))
    for _ in range(calls):
        values = await same(values)
    return len(values)


def run(task: Any, *args: int) -> int:
    outputs: Any = sdk.with_runcontext(mode="local").run(task, *args).outputs()
    return int(outputs[0] if isinstance(outputs, tuple) else outputs)


if __name__ == "__main__":
    sdk.init()
    _serve.serve(
        answers,
        {"one_by_one": one_by_one, "side_by_side": side_by_side, "with_list": with_list},
        run,
        {"version": getattr(sdk, "__version__", "?")},
    )
