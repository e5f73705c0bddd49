"""Tasks whose results are kept: in later runs, in other processes, and for equal calls at once."""

import itertools
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
from harness.command import PATIENCE
from trouper.errors import RuntimeUserError

env = trouper.TaskEnvironment("cached", cache="auto")
plain = trouper.TaskEnvironment("plain")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a workspace of its own in it, and no calls seen yet."""
    monkeypatch.chdir(tmp_path)
    CALLS.clear()


CALLS: list[Any] = []


class Unknown:
    """Nothing is known of what is in it."""


@env.task
async def double(n: int) -> int:
    CALLS.append(n)
    return n * 2


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


def run(task: Any, *args: Any, **parameters: Any) -> Any:
    (value,) = trouper.with_runcontext(**parameters).run(task, *args).outputs()
    return value


def use(ended: Any) -> tuple[int, int, int]:
    seen = ended.cache_use()
    return seen.hits, seen.computed, seen.not_cached


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


# -- what the task says ---------------------------------------------------------------------------


def test_override_computes_each_time_and_keeps_the_result() -> None:
    numbers = itertools.count(1)

    def make(word: Any) -> Any:
        @trouper.TaskEnvironment("override").task(name="counted", cache=word)
        async def counted() -> int:
            return next(numbers)

        return counted

    assert [run(make("override")), run(make("override")), run(make("auto"))] == [1, 2, 2]


def test_a_policy_names_a_version_a_salt_and_what_does_not_count() -> None:
    def make(factor: int, **policy: Any) -> Any:
        @trouper.TaskEnvironment("policy").task(name="scaled", cache=trouper.CachePolicy(**policy))
        async def scaled(n: int, verbose: bool = False) -> int:
            return n * factor

        return scaled

    one = {"version": "1", "ignored_inputs": ["verbose"]}
    assert run(make(2, **one), 5) == 10
    assert run(make(3, **one), 5, True) == 10  # it says that it is the same
    assert run(make(3, **{**one, "version": "2"}), 5) == 15
    assert run(make(4, **{**one, "salt": "x"}), 5) == 20
    assert run(make(5), 5) == 25  # without a version its code counts
    assert run(make(6), 5) == 30
    with pytest.raises(ValueError, match="no parameter 'verbos'; did you mean 'verbose'"):
        make(2, ignored_inputs=["verbos"])


@pytest.mark.parametrize("word", ["auto", "override", "disable"])
def test_a_word_is_a_policy(word: Any) -> None:
    task = trouper.TaskEnvironment("words").task(cache=word)(double.spec.function)
    policy = task.spec.settings.cache
    assert (None if policy is None else policy.behavior) == (None if word == "disable" else word)


@pytest.mark.parametrize(
    ("policy", "error", "words"),
    [
        ({"behavior": "often"}, ValueError, "behavior can't be 'often'; choose one of: auto"),
        ({"version": 1}, TypeError, "version takes a str, got 1"),
        ({"salt": b""}, TypeError, "salt takes a str"),
        ({"ignored_inputs": "n"}, TypeError, r"write \('n',\)"),
    ],
)
def test_a_policy_is_checked(policy: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        trouper.CachePolicy(**policy)


def test_a_policy_can_say_that_nothing_is_cached() -> None:
    off = trouper.CachePolicy(behavior="disable")

    @env.task(name="not_kept", cache=off)
    async def not_kept() -> int:
        CALLS.append("call")
        return 1

    assert run(not_kept) + run(not_kept) == len(CALLS) == 2


# -- what the run says ----------------------------------------------------------------------------


def test_overwrite_cache_computes_and_keeps_the_new_results() -> None:
    assert run(double, 1) == run(double, 1, overwrite_cache=True) == 2
    assert CALLS == [1, 1]
    assert run(double, 1) == 2
    assert CALLS == [1, 1]


def test_disable_run_cache_neither_reads_nor_writes() -> None:
    @plain.task(name="twice_disabled")
    async def twice() -> bool:
        context = trouper.ctx()
        assert context is not None
        await double(1)
        await double(1)
        return context.disable_run_cache

    ended = trouper.with_runcontext(disable_run_cache=True).run(twice)
    assert (ended.outputs(), CALLS, use(ended)) == ((True,), [1, 1], (0, 0, 0))
    run(double, 1)
    assert CALLS == [1, 1, 1]


@pytest.mark.parametrize(
    ("scope", "project", "domain", "name", "is_found"),
    [
        ("global", "q", "e", "s", True),
        ("project-domain", "p", "d", "s", True),
        ("project-domain", "q", "d", "r", False),
        ("project-domain", "p", "e", "r", False),
        ("run", "p", "d", "r", True),
        ("run", "p", "d", "s", False),
        ("run", "q", "d", "r", False),
    ],
)
def test_the_scope_says_whose_results_count(
    scope: Any, project: str, domain: str, name: str, is_found: bool
) -> None:
    run(double, 1, project="p", domain="d", name="r")
    run(double, 1, project=project, domain=domain, name=name, cache_lookup_scope=scope)
    assert len(CALLS) == (1 if is_found else 2)


def test_a_workflow_that_is_kept_nowhere_shares_equal_calls_only() -> None:
    """`wf.execute()` stays in memory: nothing on disk."""
    wf = trouper.Workflow("in_memory")
    go_on = trio.Event()

    @env.task(name="slow_in_memory")
    async def slow(n: int) -> int:
        CALLS.append(n)
        await go_on.wait()
        return n

    @wf.task
    async def node() -> list[int]:
        both = trouper.gather(slow(1), slow(1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_set_when_blocked, go_on)
            found: list[int] = await both
        return [*found, await slow(1)]

    assert trio.run(wf.execute).unwrap() == {"node": [1, 1, 1]}
    assert CALLS == [1, 1]
    assert not Path(".trouper").exists()


async def _set_when_blocked(event: trio.Event) -> None:
    await wait_all_tasks_blocked()
    event.set()


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
