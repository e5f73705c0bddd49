"""Declaring tasks: what is a task, and what can be said of it."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

import trouper


def make(**options: Any) -> Any:
    async def body() -> None:
        pass

    return trouper.TaskEnvironment("options").task(**options)(body)


def test_a_task_has_the_name_of_its_function_or_its_own() -> None:
    env = trouper.TaskEnvironment("names")

    @env.task
    async def plain(n: int) -> int:
        """Its text."""
        return n

    named = env.task(name="other")(partial(plain.spec.function, 1))
    assert (plain.name, named.name) == ("plain", "other")
    assert (plain.__name__, plain.__doc__) == ("plain", "Its text.")
    assert list(env.tasks) == ["plain", "other"]
    assert repr(plain) == "<task 'plain' of environment 'names'>"
    assert repr(env) == "<environment 'names', 2 tasks>"


def test_kinds_are_told_by_the_function() -> None:
    env = trouper.TaskEnvironment("kinds")

    @env.task
    async def a() -> None: ...

    @env.task
    def s() -> None: ...

    @env.task
    async def g() -> AsyncIterator[int]:
        yield 1

    assert isinstance(a, trouper.AsyncTask)
    assert isinstance(s, trouper.SyncTask)
    assert isinstance(g, trouper.StreamTask)


def test_names_are_unique_in_an_environment() -> None:
    """F16: the last one won silently."""
    env = trouper.TaskEnvironment("unique")

    def body() -> None: ...

    env.task(body)
    with pytest.raises(ValueError, match="already has a task 'body'"):
        env.task(body)


@pytest.mark.parametrize("name", ["", "../x", "a b", "a.b", "x" * 129])
def test_names_that_escape_are_refused(name: str) -> None:
    """F31"""
    with pytest.raises(ValueError, match="is no environment name"):
        trouper.TaskEnvironment(name)
    with pytest.raises(ValueError, match="is no task name"):
        make(name=name)


def test_what_is_no_task_is_refused() -> None:
    env = trouper.TaskEnvironment("refusals")

    class Callable:
        def execute(self, ctx: Any) -> None: ...

    def generator() -> Any:
        yield 1

    async def body() -> None: ...

    refusals: list[tuple[Any, str]] = [
        (lambda: 1, "a lambda can't be a task"),
        (partial(lambda n: n, 1), "a lambda can't be a task"),
        (3, "neither a task nor an actor"),
        (Callable(), "takes functions"),
        (generator, "plain generator"),
        (env.task(body), "is a task already"),
    ]
    for thing, words in refusals:
        with pytest.raises(TypeError, match=words):
            env.task(name="refused")(thing)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"retires": 3}, TypeError, "no option 'retires'; did you mean 'retries'"),
        ({"retries": -1}, ValueError, "retries of task 'body' must be >= 0, got -1"),
        ({"retries": True}, TypeError, "retries of task 'body' takes an int, got True"),
        ({"retries": 1, "restart": "transient"}, ValueError, "leave one out"),
        ({"timeout": 0}, ValueError, "timeout of task 'body' must be > 0 s"),
        ({"timeout": float("inf")}, ValueError, "finite"),
        ({"timeout": "1"}, TypeError, "timeout of task 'body' takes seconds"),
        ({"backoff": trouper.Backoff()}, ValueError, "only with retries="),
        ({"restart": "permanent"}, ValueError, "can't be 'permanent'"),
        ({"restart": "often"}, ValueError, "restart can't be 'often'"),
        (
            {"restart": trouper.RestartPolicy(), "period": 1.0},
            ValueError,
            r"RestartPolicy\(period=",
        ),
        ({"cache": 3}, TypeError, "cache of task 'body' takes a word or a trouper.CachePolicy"),
        ({"cache": "sometimes"}, ValueError, "choose one of: auto, override, disable"),
        ({"queue": 1}, TypeError, "queue of task 'body' takes the name of a queue, got 1"),
        ({"interruptible": 1}, TypeError, "interruptible of task 'body' takes a bool, got 1"),
    ],
)
def test_options_are_checked_when_they_are_given(
    options: Any, error: type[Exception], words: str
) -> None:
    """F17, F34: nothing is accepted and ignored."""
    with pytest.raises(error, match=words):
        make(**options)


def test_options_of_an_environment_are_those_of_its_tasks() -> None:
    env = trouper.TaskEnvironment("shared", retries=2, timeout=5.0, cache="disable")

    @env.task
    async def takes() -> None: ...

    @env.task(retries=0)
    async def overrides() -> None: ...

    assert takes.spec.settings.timeout == overrides.spec.settings.timeout == 5.0
    assert takes.spec.settings.policy is not None
    assert takes.spec.settings.policy.max_restarts == 2
    assert overrides.spec.settings.policy is None
    with pytest.raises(ValueError, match="environment 'bad'"):
        trouper.TaskEnvironment("bad", timeout=-1)


def test_options_without_an_effect_on_a_stream_are_refused() -> None:
    env = trouper.TaskEnvironment("stream")

    async def ticks() -> AsyncIterator[int]:
        yield 1

    options: list[dict[str, Any]] = [{"retries": 1}, {"timeout": 1.0}]
    for option in options:
        with pytest.raises(ValueError, match=f"{next(iter(option))} has no effect on task 'ticks'"):
            env.task(**option)(ticks)


def test_typed_in_tasks_may_be_declared_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook's cell that runs again declares the same task anew."""
    import sys
    from types import ModuleType

    env = trouper.TaskEnvironment("notebook")
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))

    def declare() -> Any:
        def cell() -> int:
            return 1

        cell.__module__ = "__main__"
        return env.task(cell)

    declare()
    latest = declare()
    assert env.tasks == {"cell": latest}
