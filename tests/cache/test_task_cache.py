"""Tasks whose results are kept: in later runs, in other processes, and for equal calls at once."""

import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.caching import CALLS, double, env, in_a_folder_of_its_own, plain, run, use
from harness.command import PATIENCE
from trouper.errors import RuntimeUserError

__all__ = ["in_a_folder_of_its_own"]


class Unknown:
    """Nothing is known of what is in it."""


@env.task
def in_thread(n: int) -> tuple[int, str]:
    CALLS.append(n)
    return n, "text"


@plain.task
async def several(*numbers: int) -> list[int]:
    return [await double(n) for n in numbers]


@plain.task
def from_thread(n: int) -> list[Any]:
    return [double.wait(n), in_thread(n), in_thread(n)]


# -- hits -----------------------------------------------------------------------------------------


def test_a_result_is_found_by_later_calls_and_runs() -> None:
    first = trouper.with_runcontext().run(several, 1, 2, 1)
    assert (first.outputs(), CALLS, use(first)) == (([2, 4, 2],), [1, 2], (1, 2, 0))
    second = trouper.with_runcontext().run(several, 2, 1)
    assert (second.outputs(), CALLS, use(second)) == (([4, 2],), [1, 2], (2, 0, 0))
    tree = {each.name: (each.phase, each.is_cached, each.attempts) for each in _walk(second)}
    assert tree == {
        "several": ("completed", False, 1),
        "several/double-1": ("completed", True, 0),
        "several/double-2": ("completed", True, 0),
    }


def _walk(ended: Any) -> Any:
    return ended.actions().walk()


def test_a_task_that_is_run_itself_is_cached_too() -> None:
    assert run(double, 3) == run(double, 3) == 6
    assert CALLS == [3]


def test_sync_tasks_and_their_callers() -> None:
    assert run(from_thread, 3) == [6, (3, "text"), (3, "text")]
    assert run(from_thread, 3) == [6, (3, "text"), (3, "text")]
    assert CALLS == [3, 3]  # one of each task


async def test_equal_calls_at_once_run_once() -> None:
    """F39: four equal cached calls at once ran four times."""
    go_on = trio.Event()

    @env.task(name="slow_one")
    async def slow(n: int) -> list[int]:
        CALLS.append(n)
        await go_on.wait()
        return [n]

    @plain.task(name="four_at_once")
    async def four() -> list[list[int]]:
        return await trouper.gather(*(slow(1) for _ in range(4)))

    async with trouper.with_runcontext().open(four) as opened:
        await wait_all_tasks_blocked()
        go_on.set()
    assert opened.outputs() == ([[1]] * 4,)
    assert (CALLS, use(opened)) == ([1], (3, 1, 0))


PROGRAM = """
import sys
import trouper

env = trouper.TaskEnvironment("shared", cache="auto")

@env.task
async def slow(n: int) -> dict[str, int]:
    print("computing", flush=True)
    return {"n": n}

if __name__ == "__main__":
    print(*trouper.with_runcontext().run(slow, int(sys.argv[1])).outputs())
"""


def test_other_processes_find_it(tmp_path: Path) -> None:
    def say(program: str, n: int) -> list[str]:
        (tmp_path / "flow.py").write_text(program)
        command = [sys.executable, "flow.py", str(n)]
        return subprocess.check_output(command, text=True, timeout=PATIENCE).splitlines()

    assert say(PROGRAM, 1) == ["computing", "{'n': 1}"]
    assert say(PROGRAM, 1) == ["{'n': 1}"]
    assert say(PROGRAM, 2) == ["computing", "{'n': 2}"]
    # Other code is another task's.
    assert say(PROGRAM.replace('{"n": n}', '{"n": n + 1}'), 1) == ["computing", "{'n': 2}"]
    assert say("# moved down\n" + PROGRAM, 1) == ["{'n': 1}"]


# -- what is no hit -------------------------------------------------------------------------------


def test_inputs_of_other_types_are_other_inputs() -> None:
    @env.task(name="kind_of")
    async def kind_of(thing: Any) -> str:
        return type(thing).__name__

    things = [1, True, 1.0, "1", [1], (1,), {1}, None]
    kinds = ["int", "bool", "float", "str", "list", "tuple", "set", "NoneType"]
    for _ in range(2):
        assert [run(kind_of, each) for each in things] == kinds


def test_defaults_and_names_are_inputs() -> None:
    @env.task(name="with_default")
    async def with_default(a: int, b: int = 2, **more: int) -> int:
        CALLS.append((a, b))
        return a + b + sum(more.values())

    @plain.task(name="ways")
    async def ways() -> list[int]:
        return [
            await with_default(1),
            await with_default(1, 2),
            await with_default(b=2, a=1),
            await with_default(1, 3),
            await with_default(1, c=4),
        ]

    assert run(ways) == [3, 3, 3, 4, 7]
    assert CALLS == [(1, 2), (1, 3), (1, 2)]


def test_the_custom_context_is_no_part_of_the_key() -> None:
    assert run(double, 1, custom_context={"a": "b"}) == run(double, 1) == 2
    assert CALLS == [1]


def test_the_configuration_of_the_run_is() -> None:
    @env.task(name="reads_config")
    async def reads_config() -> int:
        context = trouper.ctx()
        assert context is not None
        value: int = context.config.get("value", 0)
        return value

    wf = trouper.Workflow("configured")

    @wf.task
    async def node() -> int:
        return await reads_config()

    def outcome(**config: Any) -> Any:
        return trouper.run(wf, config=config).unwrap()["node"]

    assert [outcome(value=1), outcome(value=2), outcome(value=1)] == [1, 2, 1]


def test_the_code_of_tasks_that_it_calls_counts() -> None:
    def make(factor: int) -> Any:
        own = trouper.TaskEnvironment("calls_below")

        @own.task
        async def below(n: int) -> int:
            return n * factor

        @own.task(cache="auto")
        async def above(n: int) -> int:
            return await below(n)

        return above

    assert [run(make(2), 1), run(make(3), 1), run(make(2), 1)] == [2, 3, 2]


def test_a_failing_task_leaves_nothing() -> None:
    @env.task(name="fails_once", retries=1)
    async def fails_once(n: int) -> int:
        CALLS.append(n)
        if len(CALLS) < 3:
            raise OSError("broken")
        return n

    with pytest.raises(RuntimeUserError, match="broken"):
        run(fails_once, 1)
    assert CALLS == [1, 1]
    assert run(fails_once, 1) == run(fails_once, 1) == 1
    assert CALLS == [1, 1, 1]


async def test_a_cancelled_task_leaves_nothing_and_the_next_begins() -> None:
    begun = trio.Event()

    @env.task(name="first_sleeps")
    async def first_sleeps() -> int:
        CALLS.append("call")
        if len(CALLS) == 1:
            begun.set()
            await trio.sleep_forever()
        return len(CALLS)

    runner = trouper.with_runcontext()
    async with runner.open(first_sleeps) as first:
        await begun.wait()
        async with runner.open(first_sleeps) as second:
            await wait_all_tasks_blocked()
            assert second.actions().phase == "waiting"
            first.abort()
    assert (first.phase, second.outputs()) == ("cancelled", (2,))


async def test_who_waits_for_an_equal_call_is_cancelled_at_once() -> None:
    begun, go_on = trio.Event(), trio.Event()

    @env.task(name="waits_long")
    async def waits_long() -> int:
        begun.set()
        await go_on.wait()
        return 1

    runner = trouper.with_runcontext()
    async with runner.open(waits_long) as first:
        await begun.wait()
        async with runner.open(waits_long) as second:
            await wait_all_tasks_blocked()
            second.abort()
        assert (second.phase, second.actions().phase) == ("cancelled", "cancelled")
        go_on.set()
    assert first.outputs() == (1,)


# -- what can't be cached -------------------------------------------------------------------------


def test_what_can_t_be_keyed_or_kept_is_computed_counted_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @env.task(name="takes_unknown")
    async def takes_unknown(thing: Unknown) -> int:
        CALLS.append("takes")
        return 1

    @env.task(name="gives_unknown")
    async def gives_unknown() -> Any:
        CALLS.append("gives")
        return Unknown()

    @plain.task(name="both_twice")
    async def both_twice() -> None:
        for _ in range(2):
            await takes_unknown(Unknown())
            await gives_unknown()

    with caplog.at_level(logging.WARNING, "trouper"):
        ended = trouper.with_runcontext().run(both_twice)
    assert CALLS == ["takes", "gives", "takes", "gives"]
    assert use(ended) == (0, 4, 4)
    told = [each.message for each in caplog.records if "_unknown" in each.message]
    assert len(told) == 2
    assert "a call of takes_unknown can't be keyed: nothing is known of a" in told[0]
    assert "the result of gives_unknown is not cached" in told[1]


class Box(msgspec.Struct):
    size: int


def test_objects_are_inputs_and_results() -> None:
    @env.task(name="boxes")
    async def boxes(box: Box) -> dict[str, Box]:
        CALLS.append(box.size)
        return {"twice": Box(box.size * 2)}

    for _ in range(2):
        assert run(boxes, Box(1)) == {"twice": Box(2)}
    assert CALLS == [1]


def test_a_task_that_yields_is_refused() -> None:
    with pytest.raises(ValueError, match="cache has no effect on task 'ticks', which yields"):

        @env.task
        async def ticks() -> AsyncIterator[int]:
            yield 1

    @env.task(cache="disable")
    async def tocks() -> AsyncIterator[int]:
        yield 1

    assert run(tocks) == 1


# -- beside queues --------------------------------------------------------------------------------


def test_a_hit_needs_no_place_and_waiting_for_one_keeps_none() -> None:
    trouper.init(queues={"one": 1})
    queued = trouper.TaskEnvironment("queued", queue="one")

    @queued.task(cache="auto")
    async def inner(n: int) -> int:
        CALLS.append(n)
        return n

    @queued.task
    async def outer(n: int) -> int:
        return await inner(n) + await inner(n)

    @queued.task
    async def all_of_them() -> list[int]:
        return await trouper.gather(*(outer(n % 2) for n in range(6)))

    assert run(all_of_them) == [0, 2, 0, 2, 0, 2]
    assert sorted(CALLS) == [0, 1]
