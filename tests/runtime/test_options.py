"""Every option has an effect, or is refused with a text that names it."""

import math
from typing import Any, Literal, get_args

import pytest
import trio
from trio.testing import MockClock

import trouper
from harness.bodies import counts, sleeps
from trouper.runtime._options import (
    UNSET,
    ActorOptions,
    AnyOptions,
    TaskOptions,
    check_options,
)

Kind = Literal["task", "actor"]
WITHOUT_CHECK = {"name", "depends_on", "type"}
"""Handled by the node itself."""

LEGAL: dict[str, tuple[Any, dict[str, Any]]] = {
    # option: (a legal value, what it needs besides)
    "restart": ("transient", {}),
    "max_restarts": (3, {"restart": "transient"}),
    "period": (2.5, {"restart": "transient"}),
    "backoff": (trouper.Backoff(min=1), {"restart": "transient"}),
    "collect": ("all", {}),
    "max_items": (5, {"collect": "all"}),
    "default": (None, {}),
    "executor": ("process", {}),
    "restart_on": (OSError, {"restart": "transient"}),
    "significant": (True, {}),
    "shutdown": (0, {}),
    "fan_in": ("zip", {}),
    "fan_out": ("balance", {}),
    "capacity": (0, {}),
    "overflow": ("drop_oldest", {}),
    "validate": (True, {}),
    "copy": (True, {}),
    "outputs": ({"alerts": str}, {}),
    "on_redelivery": ("skip", {}),
    "hold_limit": (7, {"on_redelivery": "hold"}),
    "rate": (trouper.Rate(2), {}),
    "concurrency": (2, {}),
    "timeout": (5.0, {}),
    "max_children": (9, {}),
    "max_attempts": (9, {}),
    "max_releases": (9, {}),
    "redelivery_delay": (0.5, {}),
}
POLICY = ("restart", "max_restarts", "period", "backoff", "restart_on")


def options_of(kind: str) -> set[str]:
    return set((TaskOptions if kind == "task" else ActorOptions).__annotations__) - WITHOUT_CHECK


def test_the_table_is_complete() -> None:
    assert set(LEGAL) == set(AnyOptions.__annotations__) - WITHOUT_CHECK
    assert options_of("task") | options_of("actor") == set(LEGAL)


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("option", LEGAL)
def test_every_option_is_kept_or_refused(option: str, kind: Kind) -> None:
    """F17: none is accepted and ignored."""
    value, besides = LEGAL[option]
    if option not in options_of(kind):
        other = "actor" if kind == "task" else "task"
        with pytest.raises(
            TypeError, match=rf"'n' is an? {kind}; {option} is an option of an? {other}"
        ):
            check_options(kind, "n", {option: value})
        return
    checked = check_options(kind, "n", {option: value, **besides})
    kept = getattr(checked.policy if option in POLICY else checked, option)
    assert kept == value
    assert checked.given == {option, *besides}
    assert kept != getattr(
        check_options(kind, "n", {}).policy if option in POLICY else check_options(kind, "n", {}),
        option,
    ) or (kind, option) == ("actor", "restart")


WRONG: list[tuple[str, Any, type[Exception], str]] = [
    ("restart", "often", ValueError, "'often'.*permanent, transient, temporary"),
    ("max_restarts", -1, ValueError, "'n': max_restarts must be >= 0, got -1"),
    ("max_restarts", "3", TypeError, "max_restarts of 'n' takes an int, got '3'"),
    ("period", 0, ValueError, "period must be > 0 s, got 0"),
    ("period", "1m", TypeError, "period of 'n' takes seconds, got '1m'"),
    ("backoff", 3, TypeError, r"backoff of 'n' takes a trouper\.Backoff, got 3"),
    ("collect", "some", ValueError, "'some'; choose one of: last, all"),
    ("executor", "gpu", ValueError, "'gpu'; choose one of: thread, process"),
    ("max_items", 0, ValueError, "max_items of 'n' must be > 0, got 0"),
    ("max_items", 2.0, TypeError, r"max_items of 'n' takes an int, got 2\.0"),
    ("max_items", True, TypeError, "max_items of 'n' takes an int, got True"),
    ("restart_on", 3, TypeError, "restart_on of 'n' takes exception types, a function of the"),
    ("restart_on", {OSError: "no"}, ValueError, "can't answer OSError by 'no'; choose one of:"),
    ("significant", 1, TypeError, "significant of 'n' takes a bool, got 1"),
    ("max_children", 0, ValueError, "max_children of 'n' must be > 0, got 0"),
    ("max_children", 2.0, TypeError, r"max_children of 'n' takes an int, got 2\.0"),
    ("shutdown", -1, ValueError, "shutdown of 'n' must be >= 0, got -1"),
    ("shutdown", math.nan, ValueError, "shutdown of 'n' must be >= 0, got nan"),
    ("fan_in", "both", ValueError, "'both'; choose one of: merge, zip, latest"),
    ("fan_out", "some", ValueError, "'some'; choose one of: broadcast, balance, trouper.Partit"),
    ("fan_out", trouper.Partition, ValueError, r"choose one of: .*Partition\(key\)"),
    ("fan_out", ["balance"], ValueError, r"\['balance'\]; choose one of: broadcast"),
    ("capacity", 1.5, TypeError, r"capacity of 'n' must be an int or math\.inf, got 1\.5"),
    ("capacity", -1, ValueError, "capacity of 'n' must be >= 0, got -1"),
    ("overflow", "spill", ValueError, "overflow of 'n' can't be 'spill'; choose one of: block"),
    ("validate", "yes", TypeError, "validate of 'n' takes a bool, got 'yes'"),
    ("copy", 1, TypeError, "copy of 'n' takes a bool, got 1"),
    ("outputs", ["alerts"], TypeError, r"outputs of 'n' takes a mapping .*, got \['alerts'\]"),
    ("outputs", {"": int}, TypeError, "an output of 'n' needs a name, a str, got ''"),
    ("outputs", {1: int}, TypeError, "an output of 'n' needs a name, a str, got 1"),
    ("outputs", {"a": 1}, TypeError, r"output 'a' of 'n' takes a type, such as int .*, got 1"),
    ("on_redelivery", "drop", ValueError, "'drop'; choose one of: repeat, skip, hold"),
    ("hold_limit", 0, ValueError, "hold_limit of 'n' must be > 0, got 0"),
    ("max_attempts", 0, ValueError, "max_attempts of 'n' must be an int >= 1 or None, got 0"),
    ("max_releases", 0, ValueError, "max_releases of 'n' must be an int >= 1 or None, got 0"),
    ("max_attempts", True, ValueError, "must be an int >= 1 or None, got True"),
    ("max_attempts", 2.5, ValueError, r"must be an int >= 1 or None, got 2\.5"),
]


@pytest.mark.parametrize(("option", "value", "error", "text"), WRONG)
def test_a_wrong_value_is_named(option: str, value: Any, error: type[Exception], text: str) -> None:
    kind: Kind = "actor" if option in options_of("actor") else "task"
    with pytest.raises(error, match=text):
        check_options(kind, "n", {**LEGAL[option][1], option: value})


@pytest.mark.parametrize(
    ("kind", "given", "text"),
    [
        ("task", {"max_items": 1}, "max_items of 'n' has an effect only with collect='all'"),
        ("task", {"default": 1, "collect": "all"}, "default .* only with collect='last'"),
        ("task", {"max_restarts": 1}, "only with restart='transient' or 'permanent'"),
        ("task", {"period": 1}, "period of 'n'"),
        ("task", {"backoff": trouper.Backoff()}, "backoff of 'n'"),
        ("actor", {"hold_limit": 1}, "only with on_redelivery='hold'"),
        ("actor", {"capacity": 0, "overflow": "fail"}, "capacity of 'n' is 0, so there is no buff"),
    ],
)
def test_what_another_option_leaves_without_effect_is_refused(
    kind: Kind, given: dict[str, Any], text: str
) -> None:
    """F17"""
    with pytest.raises(ValueError, match=text):
        check_options(kind, "n", given)


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("actor", "restart_on"),
        ("actor", "timeout"),
        ("actor", "redelivery_delay"),
        ("actor", "max_children"),
        ("actor", "rate"),
        ("task", "max_items"),
    ],
)
def test_a_default_of_none_may_be_said(kind: Kind, option: str) -> None:
    """S13: what stands in the table of options as the default is legal, and changes nothing."""
    checked = check_options(kind, "n", {option: None})
    where = checked.policy if option in POLICY else checked
    assert getattr(where, option) is None


def test_a_temporary_actor_gives_a_message_up_after_so_many_attempts() -> None:
    """S13: `max_attempts` has an effect without restarts, because `ctx.reject` needs none."""
    wf = trouper.Workflow("temporary")
    seen: list[int] = []

    @wf.actor
    async def source(ctx: trouper.ActorContext[None, None, None, str]) -> None:
        await ctx.send("a")

    @wf.actor(depends_on=source, restart="temporary", max_attempts=2)
    async def node(ctx: trouper.ActorContext[None, None, str]) -> None:
        async for _ in ctx:
            assert ctx.message is not None
            seen.append(ctx.message.attempt)
            ctx.reject("no")

    result = trouper.run(wf)
    assert (result.status, seen) == ("completed", [1, 2])
    assert [letter.reason for letter in result.dead_letters] == ["max_attempts"]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_whole_policy_is_taken_as_it_is(kind: Kind) -> None:
    policy = trouper.RestartPolicy(restart="permanent", max_restarts=1, period=3.5)
    checked = check_options(kind, "n", {"restart": policy})
    assert checked.policy is policy
    assert checked.given == {"restart"}


@pytest.mark.parametrize("option", ["max_restarts", "period", "backoff"])
def test_beside_a_whole_policy_its_parts_are_refused(option: str) -> None:
    """F17: which of the two holds would be a guess."""
    given = {"restart": trouper.RestartPolicy(), option: LEGAL[option][0]}
    with pytest.raises(ValueError, match=rf"{option} of 'n' .*write RestartPolicy\({option}=...\)"):
        check_options("actor", "n", given)


async def starts_of_a_broken_task(**options: Any) -> list[float]:
    wf = trouper.Workflow("broken")
    begun = trio.current_time()
    starts: list[float] = []

    async def broken() -> None:
        starts.append(trio.current_time() - begun)
        raise OSError("always")

    wf.task(**options)(broken)
    assert "failed 3 times in 60 s" in (await wf.execute()).reason
    return starts


async def test_a_whole_policy_decides_about_restarts(autojump_clock: MockClock) -> None:
    """It counts and waits as the options given one by one do; a task is restarted by it too."""
    limits: dict[str, Any] = {"max_restarts": 2, "period": 60}
    limits["backoff"] = trouper.Backoff(min=4, max=4, jitter=0, reset_after=1000)
    whole = await starts_of_a_broken_task(restart=trouper.RestartPolicy(**limits))
    parts = await starts_of_a_broken_task(restart="transient", **limits)
    assert whole == parts == [0, 0, 4]


def test_an_unknown_option_is_told_with_the_nearest_or_with_all_that_are_known() -> None:
    with pytest.raises(TypeError, match="'n' has no option 'capactiy'; did you mean 'capacity'"):
        check_options("actor", "n", {"capactiy": 3})
    with pytest.raises(TypeError, match="'n' has no option 'retries'; known: 'backoff', 'cap"):
        check_options("task", "n", {"retries": 3})


def test_attempts_may_be_without_limit() -> None:
    assert check_options("actor", "n", {"max_attempts": None}).max_attempts == math.inf


def test_defaults_are_those_of_the_design() -> None:
    task, actor = check_options("task", "n", {}), check_options("actor", "n", {})
    assert (task.policy.restart, actor.policy.restart) == ("temporary", "transient")
    assert (actor.max_attempts, actor.policy.max_restarts, actor.policy.period) == (3, 5, 10)
    assert (actor.capacity, actor.overflow, actor.fan_in) == (64, "block", "merge")
    assert task.default is UNSET
    assert repr(UNSET) == "UNSET"


def test_a_shutdown_budget_is_for_threads_and_stop_hooks() -> None:
    """F17: an async task ends at its next cancel point, so it has no use for one."""
    wf = trouper.Workflow()
    with pytest.raises(TypeError, match="shutdown of 'sleeps' has an effect only on a sync task"):
        wf.task(shutdown=1.0)(sleeps(0))
    wf.task(name="sync", shutdown=1.0)(lambda: None)
    wf.actor(name="actor", shutdown=1.0)(counts(1))
    assert [node.options.shutdown for node in wf.nodes.values()] == [1.0, 1.0]


def test_wf_add_takes_the_options_of_what_the_object_is() -> None:
    wf = trouper.Workflow()
    wf.add(counts(1), capacity=5)
    with pytest.raises(TypeError, match="'sleeps' is a task; capacity is an option of an actor"):
        wf.add(sleeps(0), capacity=5)
