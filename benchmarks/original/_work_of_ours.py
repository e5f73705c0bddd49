"""The same tasks on trouper, each run recorded in the workspace of the current folder."""

from typing import Any

import trouper

from ._serve import serve, take_stdout

env = trouper.TaskEnvironment("bench")


@env.task
async def increment(n: int) -> int:
    return n + 1


@env.task
async def same(values: list[int]) -> list[int]:
    return values


@env.task
async def one_by_one(calls: int) -> int:
    total = 0
    for _ in range(calls):
        total = await increment(total)
    return total


@env.task
async def side_by_side(calls: int) -> int:
    return len(await trouper.gather(*(increment(number) for number in range(calls))))


@env.task
async def with_list(calls: int, length: int) -> int:
    values = list(range(length))
    for _ in range(calls):
        values = await same(values)
    return len(values)


def run(task: Any, *args: int) -> int:
    return int(trouper.with_runcontext().run(task, *args).outputs()[0])


if __name__ == "__main__":
    serve(
        take_stdout(),
        {"one_by_one": one_by_one, "side_by_side": side_by_side, "with_list": with_list},
        run,
        {"version": "here"},
    )
