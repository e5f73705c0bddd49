"""What a run is: project, experiment and name; its parameters; and how it may be begun (F21)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from harness.stores import new_run, open_at
from trouper.runtime.store._errors import (
    AmbiguousRun,
    NoSuchRun,
    NotTheSame,
    RunNameTaken,
    WrongPhase,
)
from trouper.runtime.store._limits import Limits
from trouper.runtime.store._records import DEFAULT_SCOPE, Ended, RunKey
from trouper.runtime.store._store import Store
from trouper.runtime.store._verbs import TAKES, Before, Verb, refusal


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_at(tmp_path) as opened:
        yield opened


def test_equal_names_in_two_experiments_are_two_runs(store: Store) -> None:
    """F14: equal experiment names in two projects collided."""
    places = [("p", "e"), ("p", "f"), ("q", "e"), (DEFAULT_SCOPE, DEFAULT_SCOPE)]
    claims = [store.runs.claim(new_run(project=p, experiment=e)) for p, e in places]
    assert len({claim.run for claim in claims}) == 4
    for n, claim in enumerate(claims):
        store.results.set(claim, "n", n)
    assert [store.results.get(store.runs.get(each.key).run, "n") for each in claims] == [0, 1, 2, 3]
    with pytest.raises(RunNameTaken):
        store.runs.claim(new_run(project="p", experiment="e"))
    assert store.runs.scopes() == [
        *[("default", "default", {}), ("p", "e", {}), ("p", "f", {}), ("q", "e", {})]
    ]


def test_a_run_is_found_by_its_name_or_by_all_of_it(store: Store) -> None:
    store.runs.claim(new_run(project="p", experiment="e"))
    assert store.runs.find("run-1") == store.runs.find("p/e/run-1") == RunKey("run-1", "p", "e")
    assert store.runs.get("p/e/run-1").number == 1
    for reference in ("x", "e/run-1", "p/f/run-1", "", "/", "p/e/", "a/p/e/run-1"):
        with pytest.raises(NoSuchRun, match="no run named"):
            store.runs.find(reference)
    with pytest.raises(NoSuchRun, match="no run 'p/f/run-1' is recorded"):
        store.runs.get(RunKey("run-1", "p", "f"))
    assert store.runs.executions(RunKey("run-1", "p", "f")) == []


def test_a_name_that_several_have_is_ambiguous_and_they_are_listed(store: Store) -> None:
    for n in range(2):
        store.runs.claim(new_run(project=f"p{n}"))
    for ask in (store.runs.find, store.runs.get, store.runs.executions, store.runs.request_abort):
        with pytest.raises(AmbiguousRun, match=r"run-1': p1/default/run-1, p0/default/run-1; say"):
            ask("run-1")
    for n in range(2, 12):
        store.runs.claim(new_run(project=f"p{n}"))
    with pytest.raises(AmbiguousRun, match=r"p11/default/run-1, .*p2/default/run-1 and more; say"):
        store.runs.find("run-1")
    assert len(store.runs.executions("p7/default/run-1")) == 1


def ended(store: Store, phase: Ended, verb: Verb = "again", **more: Any) -> None:
    store.runs.finish(store.runs.claim(new_run(**more), verb), phase)


@pytest.mark.parametrize("verb", get_args(Verb))
@pytest.mark.parametrize("before", get_args(Before))
def test_each_verb_takes_the_runs_that_its_row_says(
    store: Store, verb: Verb, before: Before
) -> None:
    """F21: run takes missing ones, resume failed and cancelled ones, rerun whatever has ended."""
    if before != "pending":
        ended(store, before)
    executions = len(store.runs.executions("run-1"))
    if before in TAKES[verb]:
        assert refusal(verb, before, "run-1") is None
        claim = store.runs.claim(new_run(), verb)
        assert claim.number == executions + 1
        for each in get_args(Verb):  # F21: a live run is never started twice
            with pytest.raises(RunNameTaken):
                store.runs.claim(new_run(), each)
        return
    with pytest.raises(WrongPhase, match=r"the run 'run-1' .*run\.(start|resume|rerun)\(\)"):
        store.runs.claim(new_run(), verb)
    assert len(store.runs.executions("run-1")) == executions
    assert store.runs.query() == list(store.runs.executions("run-1"))[-1:]


def test_a_refusal_says_what_would_do() -> None:
    assert refusal("start", "failed", "r") == (
        "the run 'r' has failed; run.resume() goes on and keeps what it has finished, "
        "run.rerun() does it again from the top"
    )
    assert refusal("start", "cancelled", "r") == (
        "the run 'r' was cancelled; run.resume() goes on and keeps what it has finished, "
        "run.rerun() does it again from the top"
    )
    for verb in ("start", "resume"):
        assert refusal(verb, "completed", "r") == (
            "the run 'r' has completed; run.rerun() does it again from the top"
        )
    assert refusal("rerun", "pending", "r") == (
        "the run 'r' never began, so there is nothing to rerun; use run.start()"
    )


def test_the_configuration_is_part_of_what_a_run_is(store: Store) -> None:
    """F18: other overrides took up the old run."""
    ended(store, "failed", "start", config_hash="a" * 64)
    for verb in ("resume", "rerun"):
        with pytest.raises(
            NotTheSame, match=r"another configuration \(hash 'aaaaaaaaaaaa', now 'b"
        ):
            store.runs.claim(new_run(config_hash="b" * 64), verb)
        ended(store, "failed", verb, config_hash="a" * 64)
    ended(store, "completed", "again", config_hash="b" * 64)
    assert len(store.runs.executions("run-1")) == 4


def test_parameters_are_said_once_and_not_changed(store: Store) -> None:
    ended(store, "failed")
    ended(store, "failed", parameters={"lr": 1, "b": [1, {"x": None}]}, experiment_params={"d": 1})
    ended(store, "failed", parameters={"b": [1, {"x": None}], "lr": 1})
    ended(store, "failed")
    with pytest.raises(NotTheSame, match=r"the run 'run-1' has other parameters: b was .* and is"):
        store.runs.claim(new_run(parameters={"lr": 1}))
    with pytest.raises(NotTheSame, match="experiment 'default' has other parameters: d was 1 and"):
        store.runs.claim(new_run("run-2", experiment_params={"d": 2}))
    assert [each.name for each in store.runs.query()] == ["run-1"]
    record = store.runs.get("run-1")
    assert (record.number, record.parameters["lr"], record.experiment_params) == (4, 1, {"d": 1})
    with pytest.raises(
        TypeError, match=r"parameters of the run 'run-1' can't be recorded: .*object"
    ):
        store.runs.claim(new_run(parameters={"x": object()}))


def test_an_experiment_falls_out_with_its_last_run(tmp_path: Path) -> None:
    with open_at(tmp_path, limits=Limits(executions=2)) as store:
        for name, experiment in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")):
            ended(store, "completed", name=name, experiment=experiment)
        assert [each for _, each, _ in store.runs.scopes()] == ["y"]
