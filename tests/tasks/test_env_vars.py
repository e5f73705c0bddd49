"""`env_vars`: seen by everything in a run, gone after it, never seen by another one."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from trouper.errors import EnvVarsConflict, RuntimeUserError

env = trouper.TaskEnvironment("variables")
NAME = "TROUPER_TEST_VARIABLE"
WITH = {NAME: "of the run"}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(NAME, raising=False)


@env.task
async def look() -> str | None:
    return os.environ.get(NAME)


@env.task
def look_everywhere() -> list[str | None]:
    """In a worker thread, in a thread of the user's, in a subprocess, in a task below."""
    found = [os.environ.get(NAME), look.wait()]
    thread = threading.Thread(target=lambda: found.append(os.environ.get(NAME)))
    thread.start()
    thread.join()
    code = f"import os; print(os.environ.get({NAME!r}))"
    found.append(subprocess.check_output([sys.executable, "-c", code], text=True).strip())
    return found


@env.task
async def breaks() -> None:
    raise OSError("broken")


def test_everything_in_the_run_sees_them_and_nothing_afterwards() -> None:
    ended = trouper.with_runcontext(env_vars=WITH).run(look_everywhere)
    assert ended.outputs() == (["of the run"] * 4,)
    assert NAME not in os.environ
    assert trouper.with_runcontext().run(look).outputs() == ()


@pytest.mark.parametrize("before", ["as it was", ""])
def test_what_was_there_before_is_there_again(monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    monkeypatch.setenv(NAME, before)

    @trouper.TaskEnvironment("changes").task
    async def changes_it() -> str:
        os.environ[NAME] += ", changed"
        return os.environ[NAME]

    ended = trouper.with_runcontext(env_vars=WITH).run(changes_it)
    assert ended.outputs() == ("of the run, changed",)
    assert os.environ[NAME] == before


def test_they_are_gone_after_a_failure_too() -> None:
    with pytest.raises(RuntimeUserError, match="broken"):
        trouper.with_runcontext(env_vars=WITH).run(breaks)
    assert NAME not in os.environ


async def test_beside_another_run_they_are_refused_with_both_names_and_the_fix() -> None:
    go_on = trio.Event()

    @env.task(name="stays")
    async def stays() -> None:
        await go_on.wait()

    plain = trouper.with_runcontext(name="plain")
    special = trouper.with_runcontext(name="special", env_vars=WITH)
    async with plain.open(stays):
        with pytest.raises(EnvVarsConflict) as caught:
            await special.run.aio(look)
        for words in ("'special'", "'plain'", 'isolate="process"'):
            assert words in str(caught.value)
        go_on.set()
    assert (await special.run.aio(look)).outputs() == ("of the run",)


async def test_nothing_else_begins_beside_a_run_that_has_them() -> None:
    go_on = trio.Event()

    @env.task(name="stays_alone")
    async def stays_alone() -> None:
        await go_on.wait()

    plain = trouper.with_runcontext(name="plain")
    special = trouper.with_runcontext(name="special", env_vars=WITH)
    other = trouper.with_runcontext(name="other", env_vars={"B": "c"})
    async with special.open(stays_alone):
        for runner, name in ((plain, "plain"), (other, "other")):
            with pytest.raises(EnvVarsConflict, match="'special'") as caught:
                await runner.run.aio(look)
            assert f"'{name}'" in str(caught.value)
        assert "B" not in os.environ
        go_on.set()
    assert (await plain.run.aio(look)).outputs() == ()


def graph() -> trouper.Workflow:
    wf = trouper.Workflow("graph")

    @wf.task
    async def node() -> str | None:
        return os.environ.get(NAME)

    return wf


async def test_a_graph_beside_them_is_refused_however_it_is_run(tmp_path: Path) -> None:
    go_on = trio.Event()

    @env.task(name="stays_beside")
    async def stays_beside() -> None:
        await go_on.wait()

    wf = graph()
    run = trouper.Workspace(tmp_path / "ws").project("p").experiment("e").run()
    named = trouper.RunContext(run_name="graph-1")
    async with trouper.with_runcontext(name="special", env_vars=WITH).open(stays_beside):
        with pytest.raises(EnvVarsConflict, match=r"'special' has env_vars, .*'graph-1' would see"):
            await wf.execute(run_context=named)
        with pytest.raises(EnvVarsConflict, match=r"start 'special' with .*isolate"):
            await wf.execute(run=run)
        for live in (wf.open(run_context=named), wf.open(run=run)):
            with pytest.raises(EnvVarsConflict, match="'special'"):
                await live.__aenter__()
        assert run.phase == "pending"  # nothing was claimed
        go_on.set()
    assert (await wf.execute()).outputs["node"] is None


async def test_they_are_refused_beside_a_graph() -> None:
    wf = graph()
    special = trouper.with_runcontext(name="special", env_vars=WITH)
    async with wf.open(run_context=trouper.RunContext(run_name="graph-1")):
        with pytest.raises(EnvVarsConflict, match=r"'special' has env_vars, and the run 'graph-1'"):
            await special.run.aio(look)
    assert (await special.run.aio(look)).outputs() == ("of the run",)


def test_a_blocking_graph_is_counted_while_it_goes_on(tmp_path: Path) -> None:
    special = trouper.with_runcontext(name="special", env_vars=WITH)
    wf = trouper.Workflow("starts")

    @wf.task
    def node() -> str:
        with pytest.raises(EnvVarsConflict) as caught:
            special.run(look)
        return str(caught.value)

    named = trouper.RunContext(run_name="graph-1")
    assert "'graph-1' goes on" in trouper.run(wf, run_context=named).outputs["node"]
    with trouper.Workspace(tmp_path / "ws") as workspace:
        run = workspace.project("p").experiment("e").run()
        assert trouper.run(wf, run=run).ok
    assert special.run(look).outputs() == ("of the run",)


async def test_a_live_graph_that_can_not_begin_is_not_counted(tmp_path: Path) -> None:
    run = trouper.Workspace(tmp_path / "ws").project("p").experiment("e").run()
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "journals").touch()
    with pytest.raises(trouper.errors.StoreError):
        await graph().open(run=run).__aenter__()
    special = trouper.with_runcontext(name="special", env_vars=WITH, workspace=False)
    assert (await special.run.aio(look)).outputs() == ("of the run",)


def test_a_graph_that_a_task_runs_sees_them_and_so_do_graphs_in_its_nodes() -> None:
    @env.task(name="runs_graphs")
    async def runs_graphs() -> list[Any]:
        wf = trouper.Workflow("outer")

        @wf.task
        async def node() -> Any:
            return (await graph().execute()).outputs["node"]

        return [(await graph().execute()).outputs["node"], (await wf.execute()).outputs["node"]]

    ended = trouper.with_runcontext(name="outer", env_vars=WITH).run(runs_graphs)
    assert ended.outputs() == (["of the run"] * 2,)


def test_a_run_that_a_task_starts_sees_them_and_may_have_no_others() -> None:
    """It lives in that run, as a program would that is started there."""

    @env.task(name="starts_runs")
    async def starts_runs() -> list[Any]:
        inner = await trouper.with_runcontext().run.aio(look)
        with pytest.raises(EnvVarsConflict, match="'outer'"):
            await trouper.with_runcontext(env_vars={"B": "c"}).run.aio(look)
        return [*inner.outputs(), *await trouper.gather(look())]

    ended = trouper.with_runcontext(name="outer", env_vars=WITH).run(starts_runs)
    assert ended.outputs() == (["of the run", "of the run"],)


def test_a_run_whose_name_is_taken_sets_nothing() -> None:
    @env.task(name="takes_its_name")
    async def takes_its_name() -> bool:
        with pytest.raises(Exception, match="same"):
            await trouper.with_runcontext(name="same").run.aio(look)
        return NAME in os.environ

    ended = trouper.with_runcontext(name="same", env_vars=WITH).run(takes_its_name)
    assert ended.outputs() == (True,)
    assert NAME not in os.environ


@pytest.mark.parametrize(
    ("variables", "error", "words"),
    [
        ({"A=B": "x"}, ValueError, "'A=B' is no name of a variable"),
        ({"": "x"}, ValueError, "'' is no name of a variable"),
        ({"A": "secret\0"}, ValueError, "the value of 'A' has a null character"),
        ({"A": "secret\ud800"}, ValueError, "the value of 'A' is no text"),
        ({"B\ud800": "x"}, ValueError, r"a name in env_vars can't be 'B\\ud800': .* leave it out"),
        ({"A": b"secret"}, TypeError, "the value of 'A' is of type bytes; str"),
        ({1: "secret"}, TypeError, "takes str, got the name 1"),
        ([("A", "secret")], TypeError, "takes a mapping from str to str, got one of type list"),
    ],
)
def test_what_no_environment_can_hold_is_refused_at_once(
    variables: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        trouper.with_runcontext(env_vars=variables)
    assert "secret" not in str(caught.value)


def test_the_record_keeps_their_names_never_their_values() -> None:
    secret = {NAME: "hunter2-and-more"}
    ended = trouper.with_runcontext(env_vars=secret).run(look)
    assert "hunter2" not in repr(ended.context)
    record = ended.record()
    assert record is not None
    assert record.params["env_vars"] == [NAME]
    # What a task returns is its own affair: that is recorded.
    other = trouper.with_runcontext(env_vars={"OTHER": "correct-horse"}).run(look)
    files = [each for each in other.workspace.path.rglob("*") if each.is_file()]
    assert files
    assert not any(b"correct-horse" in each.read_bytes() for each in files)
