"""A thousand trivial batch tasks: what the scheduler costs per task."""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from time import process_time
from typing import Any

import trio

import trouper

from ._measure import Contest, Sample, Scale
from ._peers import is_installed
from ._phases import time_phases

TASKS = 1_000


async def begin() -> int:
    return 1


async def step(value: int) -> int:
    return value + 1


async def end(ctx: trouper.TaskContext[None, None, Mapping[str, int]]) -> int:
    return len(ctx.inputs)


def _fan(tasks: int) -> trouper.Workflow:
    workflow = trouper.Workflow("fan")
    workflow.task(name="begin")(begin)
    names = [f"step{number}" for number in range(tasks - 2)]
    for name in names:
        workflow.task(name=name, depends_on=["begin"])(step)
    workflow.task(name="end", depends_on=names)(end)
    return workflow


def _chain(tasks: int) -> trouper.Workflow:
    workflow = trouper.Workflow("chain")
    workflow.task(name="step0")(begin)
    for number in range(1, tasks):
        workflow.task(name=f"step{number}", depends_on=[f"step{number - 1}"])(step)
    return workflow


def _time(make: Callable[[int], trouper.Workflow], last: str, tasks: int) -> Mapping[str, float]:
    """Return us per task: declaring it, checking the graph, and executing it."""

    async def execute(workflow: trouper.Workflow) -> float:
        # Entering and leaving trio costs about 1 ms, and belongs to neither side.
        begin = process_time()
        result = await workflow.execute()
        took = process_time() - begin
        if last not in result.unwrap():
            raise RuntimeError(f"{last!r} has no output")
        return took

    phases = time_phases(partial(make, tasks), lambda workflow: trio.run(execute, workflow))
    names = ("build", "check", "execute")
    return {name: took * 1e6 / tasks for name, took in zip(names, phases, strict=True)}


def _time_start_soon(tasks: int, *, one_by_one: bool) -> float:
    """Return us per task of a nursery: all started at once, or each by the one before."""
    left = tasks

    async def one() -> None:
        pass

    async def next_one(nursery: trio.Nursery) -> None:
        nonlocal left
        left -= 1
        if left:
            nursery.start_soon(next_one, nursery)

    async def main() -> float:
        begin = process_time()
        async with trio.open_nursery() as nursery:
            if one_by_one:
                nursery.start_soon(next_one, nursery)
            else:
                for _ in range(tasks):
                    nursery.start_soon(one)
        return (process_time() - begin) * 1e6 / tasks

    return trio.run(main)


def _time_dask(graph: Mapping[str, Any], key: str, expected: int, tasks: int) -> float:
    """Return us per task of dask's synchronous scheduler, its ordering of the graph included."""
    dask = importlib.import_module("dask")
    begin = process_time()
    value = dask.get(graph, key)
    took = process_time() - begin
    if value != expected:
        raise RuntimeError(f"dask gave {value}, not {expected}")
    return took * 1e6 / tasks


def _plus_one(value: int) -> int:
    return value + 1


def _count(values: list[int]) -> int:
    return len(values)


def _dask_fan(tasks: int) -> float:
    names = [f"step{number}" for number in range(tasks - 2)]
    graph: dict[str, Any] = {"begin": (_plus_one, 0)}
    graph |= dict.fromkeys(names, (_plus_one, "begin"))
    graph["end"] = (_count, names)
    return _time_dask(graph, "end", tasks - 2, tasks)


def _dask_chain(tasks: int) -> float:
    graph: dict[str, Any] = {"step0": (_plus_one, 0)}
    graph |= {f"step{n}": (_plus_one, f"step{n - 1}") for n in range(1, tasks)}
    return _time_dask(graph, f"step{tasks - 1}", tasks, tasks)


def _contest(
    name: str, title: str, ours: Callable[[], Sample], bare: Callable[[], float], dask: Any
) -> Contest:
    variants: dict[str, Callable[[], Sample]] = {"trouper,": ours, "nursery.start_soon": bare}
    if is_installed("dask"):
        variants["dask, synchronous"] = dask
    return Contest(
        name=name,
        title=title,
        unit="us per task",
        one_thread=True,
        variants=variants,
        rounds=9,
        baseline="nursery.start_soon",
    )


def tasks_fan(scale: Scale) -> Contest:
    n = scale.n(TASKS, least=10)
    return _contest(
        "tasks_fan",
        "1,000 trivial batch tasks, fan-out and fan-in",
        partial(_time, _fan, "end", n),
        partial(_time_start_soon, n, one_by_one=False),
        partial(_dask_fan, n),
    )


def tasks_chain(scale: Scale) -> Contest:
    n = scale.n(TASKS, least=10)
    return _contest(
        "tasks_chain",
        "1,000 trivial batch tasks, one after another",
        partial(_time, _chain, f"step{n - 1}", n),
        partial(_time_start_soon, n, one_by_one=True),
        partial(_dask_chain, n),
    )
