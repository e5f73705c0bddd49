"""What is configured reaches runs: `with_runcontext` inherits what it is not given."""

from pathlib import Path
from typing import Any

import pytest

import trouper

env = trouper.TaskEnvironment("configured")


@env.task
async def look() -> dict[str, Any]:
    ctx = trouper.ctx()
    assert ctx is not None
    action = ctx.action
    return {
        "org": action.org,
        "project": action.project,
        "domain": action.domain,
        "version": ctx.version,
        "custom_context": dict(ctx.custom_context),
        "disable_run_cache": ctx.disable_run_cache,
    }


RUNNER = trouper.with_runcontext(project="given")
"""Made before anything is configured, as at the top of a module."""


def seen(runner: Any) -> dict[str, Any]:
    [value] = runner.run(look).outputs()
    return dict(value)


def test_what_was_not_given_is_as_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(
        "task: {org: o, project: p, domain: d}\n"
        "run: {version: v2, custom_context: {k: v}, disable_run_cache: true}\n"
    )
    before = seen(RUNNER)
    assert (before["org"], before["project"], before["domain"]) == (None, "given", None)
    trouper.init_from_config()
    expected = {
        "org": "o",
        "project": "given",
        "domain": "d",
        "version": "v2",
        "custom_context": {"k": "v"},
        "disable_run_cache": True,
    }
    assert seen(RUNNER) == expected
    assert seen(trouper.with_runcontext()) == {**expected, "project": "p"}


def test_a_variable_reaches_a_run_without_any_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """F41."""
    monkeypatch.setenv("TROUPER_PROJECT", "from env")
    assert seen(trouper.with_runcontext())["project"] == "from env"
    assert seen(RUNNER)["project"] == "given"


def test_what_has_no_effect_yet_is_refused_from_a_file_too() -> None:
    """F30: nothing is accepted and ignored."""
    trouper.init(run={"labels": {"team": "ml"}}, queues={"gpu": 1})
    assert seen(RUNNER)["project"] == "given"
    trouper.init(run={"mode": "remote"})
    with pytest.raises(NotImplementedError, match="mode='remote'"):
        RUNNER.run(look)


def test_what_is_configured_is_checked_with_what_is_given() -> None:
    trouper.init(run={"overwrite_cache": True})
    with pytest.raises(ValueError, match="overwrite_cache and disable_run_cache contradict"):
        trouper.with_runcontext(disable_run_cache=True).run(look)
