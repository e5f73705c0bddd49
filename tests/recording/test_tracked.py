"""An execution that is being recorded: taken by another process, refused, masked."""

import os
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from trouper.errors import ClaimLost
from trouper.runtime.tasks._recall import Keeper

env = trouper.TaskEnvironment("tracked")


@env.task
async def one() -> int:
    return 1


def test_a_run_that_was_taken_for_dead_fails(tmp_path: Path) -> None:
    """As if the machine had slept, and another one had begun the run meanwhile."""

    @env.task(name="sleeps")
    async def sleeps() -> None:
        ctx = trouper.ctx()
        assert ctx is not None
        run = ctx.run_context
        assert run is not None
        tracked = run.kept["tracked"]
        with tracked.store.connections.writing() as db:
            db.execute("UPDATE execution SET token = 'of another process'")
        await trio.sleep_forever()

    with pytest.raises(ClaimLost, match="nothing more is written for it"):
        trouper.with_runcontext(name="r", workspace=tmp_path).run(sleeps)


def test_when_too_many_wait_the_oldest_falls_out_until_it_is_noted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trouper.runtime.workspace._tracked._MOST_DIRTY", 2)

    @env.task(name="calls")
    async def calls() -> int:
        return sum([await one() for _ in range(20)])

    run = trouper.with_runcontext(name="r", workspace=tmp_path).run(calls)
    assert run.outputs() == (20,)
    recorded = {
        each.name: each.phase for each in trouper.Workspace(tmp_path).find_run("r").actions().walk()
    }
    # Its end is noted last, although it waited from its beginning on.
    assert recorded["calls"] == "completed"
    assert recorded["calls/one-20"] == "completed"


def test_what_cannot_be_kept_track_of_is_recorded_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_tracked: object) -> Keeper:
        raise RuntimeError("no keeper")

    monkeypatch.setattr("trouper.runtime.tasks._recall.Keeper", refuse)
    runner = trouper.with_runcontext(name="r", workspace=tmp_path)
    with pytest.raises(RuntimeError, match="no keeper"):
        runner.run(one)
    monkeypatch.undo()
    [run] = trouper.Workspace(tmp_path).runs()
    assert (run.phase, run.executions()[0].error) == ("failed", "no keeper")
    assert runner.run(one).phase == "completed"


def test_secrets_of_parameters_and_errors_are_masked(tmp_path: Path) -> None:
    secret = trouper.Secret("hunter-2-hunter")

    @env.task(name="tells")
    async def tells(text: str) -> str:
        raise OSError(f"wrong password {secret.reveal()}")

    runner = trouper.with_runcontext(
        name="r", workspace=tmp_path, custom_context={"k": "hunter-2-hunter"}
    )
    with pytest.raises(trouper.errors.RuntimeUserError):
        runner.run(tells, "hunter-2-hunter")
    run = trouper.Workspace(tmp_path).find_run("r")
    record: Any = run.record()
    assert record.params["custom_context"] == {"k": "***"}
    assert run.inputs() == {"text": "***"}
    assert record.error == "tells failed: OSError: wrong password ***"
    assert "hunter" not in (record.trace or "").replace("hunter()", "")
    assert run.actions().error is not None
    assert "hunter" not in str(run.actions().error)


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    @env.task(name="looks")
    async def looks() -> None:
        for folder, _, files in os.walk(tmp_path / "ws"):
            seen[folder] = os.stat(folder).st_mode & 0o777
            for file in files:
                seen[file] = os.stat(Path(folder) / file).st_mode & 0o777

    trouper.with_runcontext(name="r", workspace=tmp_path / "ws").run(looks)
    assert {mode for name, mode in seen.items() if "/" in name} == {0o700}
    assert {mode for name, mode in seen.items() if "/" not in name} == {0o600}
