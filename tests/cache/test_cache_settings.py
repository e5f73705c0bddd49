"""What a task and a run can say of the cache."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.caching import CALLS, double, env, in_a_folder_of_its_own, plain, run, use

__all__ = ["in_a_folder_of_its_own"]

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
