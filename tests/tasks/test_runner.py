"""`with_runcontext(...)`: parameters, blocking and awaited runs, names."""

import asyncio
import threading
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import pytest
import trio

import trouper
from trouper.errors import RuntimeUserError

env = trouper.TaskEnvironment("runner")


@env.task
async def double(n: int = 1) -> int:
    return n * 2


@env.task
async def breaks() -> None:
    raise OSError("broken")


# -- blocking and awaited -------------------------------------------------------------------------


def test_run_blocks_and_gives_the_run() -> None:
    run = trouper.with_runcontext().run(double, 21)
    assert (run.phase, run.done(), run.wait()) == ("completed", True, True)
    assert run.outputs() == (42,)
    assert run.inputs() == {"n": 21}
    assert run.reason == ""
    assert repr(run) == f"<run {run.name!r} of 'double': completed>"


def test_a_runner_runs_as_often_as_one_likes() -> None:
    runner = trouper.with_runcontext(project="p")
    runs = [runner.run(double, n) for n in range(3)]
    assert [tuple(run.outputs()) for run in runs] == [(0,), (2,), (4,)]
    assert len({run.name for run in runs}) == 3
    assert {run.context.project for run in runs} == {"p"}


def test_trouper_run_takes_a_task_too() -> None:
    assert trouper.run(double, 4).outputs() == (8,)
    assert trouper.run(double, n=5).outputs() == (10,)
    with pytest.raises(RuntimeUserError, match="broken"):
        trouper.run(breaks)


def test_a_failed_task_raises() -> None:
    with pytest.raises(RuntimeUserError, match="OSError: broken") as caught:
        trouper.with_runcontext().run(breaks)
    assert caught.value.run is not None
    assert isinstance(caught.value.run.error, RuntimeUserError)


def test_from_another_thread() -> None:
    found: list[Any] = []

    def start() -> None:
        found.append(trouper.with_runcontext().run(double, 4).outputs())

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert found == [(8,)]


async def test_inside_of_trio_the_error_names_the_awaitable_form() -> None:
    runner = trouper.with_runcontext()
    with pytest.raises(RuntimeError, match=r"trio runs.*await runner\.run\.aio\(double, \.\.\.\)"):
        runner.run(double, 1)
    assert (await runner.run.aio(double, 2)).outputs() == (4,)


def test_inside_of_asyncio_too() -> None:
    runner = trouper.with_runcontext()

    async def main() -> Any:
        with pytest.raises(RuntimeError, match=r"asyncio runs.*await runner\.run\.aio"):
            runner.run(double, 1)
        with pytest.raises(RuntimeUserError, match="broken"):
            await runner.run.aio(breaks)
        return (await runner.run.aio(double, 3)).outputs()

    assert asyncio.run(main()) == (6,)


def test_a_cancel_in_asyncio_cancels_the_run() -> None:
    ended: list[str] = []
    begun = threading.Event()

    @trouper.TaskEnvironment("asyncio").task
    async def waits() -> None:
        try:
            begun.set()
            await trio.sleep_forever()
        finally:
            ended.append("finally")

    async def main() -> None:
        task = asyncio.ensure_future(trouper.with_runcontext().run.aio(waits))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended == ["finally"]


def test_a_workflow_runs_too_and_never_raises() -> None:
    wf = trouper.Workflow("graph")

    @wf.task
    async def one() -> int:
        return 1

    @wf.task(depends_on="one")
    async def two(one: int) -> int:
        return one + 1

    run = trouper.with_runcontext(name="of-graph", project="p").run(wf)
    assert run.outputs() == (1, 2)
    assert dict(run.outputs().items()) == {"one": 1, "two": 2}
    assert [each.name for each in run.actions().walk()] == ["graph", "one", "two"]
    assert [each.phase for each in run.actions().walk()] == ["completed"] * 3

    @wf.task
    async def fails() -> None:
        raise OSError("broken")

    failed = trouper.with_runcontext().run(wf)
    assert failed.phase == "failed"
    with pytest.raises(OSError, match="broken"):
        failed.outputs()
    with pytest.raises(TypeError, match="takes no arguments"):
        trouper.with_runcontext().run(wf, 1)


async def test_a_workflow_is_aborted() -> None:
    wf = trouper.Workflow("sleepy")
    begun = trio.Event()

    @wf.task
    async def sleeps() -> None:
        begun.set()
        await trio.sleep_forever()

    async with trouper.with_runcontext().open(wf) as run:
        assert run.actions().phase == "waiting"
        await begun.wait()
        assert [each.phase for each in run.actions().walk()] == ["running", "running"]
        run.abort("enough")
    assert (run.phase, run.reason) == ("cancelled", "enough")
    with pytest.raises(trouper.RunCancelled, match="enough"):
        run.outputs()


@pytest.mark.parametrize("target", [3, print, lambda: 1])
def test_what_is_neither_is_refused(target: Any) -> None:
    with pytest.raises(TypeError, match="neither a task nor a workflow"):
        trouper.with_runcontext().run(target)


class Pair(NamedTuple):
    left: int
    right: str


@env.task
async def makes_pair() -> Pair:
    return Pair(1, "r")


@env.task
async def makes_two() -> tuple[int, str]:
    return 1, "b"


def test_outputs_are_a_tuple_that_also_has_names() -> None:
    pair = trouper.with_runcontext().run(makes_pair).outputs()
    assert tuple(pair) == (1, "r")
    assert (pair.left, pair["right"], pair[-1], pair.names) == (1, "r", "r", ("left", "right"))
    two = trouper.with_runcontext().run(makes_two).outputs()
    assert (two.o0, two.o1, repr(two)) == (1, "b", "Outputs(o0=1, o1='b')")
    with pytest.raises(AttributeError, match="no output 'o2'; there are o0, o1"):
        _ = two.o2
    with pytest.raises(KeyError, match="no output 'x'"):
        _ = two["x"]
    import copy

    assert copy.copy(pair).left == 1


def test_sys_exit_passes() -> None:
    """P8"""

    @trouper.TaskEnvironment("exits").task
    async def leaves() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit) as caught:
        trouper.with_runcontext(name="exits").run(leaves)
    assert caught.value.code == 3
    trouper.with_runcontext(name="exits").run(double)


# -- names and parameters -------------------------------------------------------------------------


def test_a_name_is_made_that_sorts_and_can_be_read() -> None:
    run = trouper.with_runcontext().run(double)
    assert run.name.startswith("double-2")
    long = trouper.TaskEnvironment("long").task(name="x" * 128)(double.spec.function)
    assert len(trouper.with_runcontext().run(long).name) <= 128


@pytest.mark.parametrize("name", ["", "../../x", "a/b", "a b", ".hidden", "x" * 129, "ü"])
def test_names_that_escape_are_refused(name: str) -> None:
    """F31"""
    with pytest.raises(ValueError, match=r"^name can't be"):
        trouper.with_runcontext(name=name)


async def test_a_live_name_is_refused_and_free_again_afterwards() -> None:
    runner = trouper.with_runcontext(name="only-one")
    for _ in range(2):
        async with runner.open(double):
            with pytest.raises(ValueError, match="a run named 'only-one' goes on"):
                await runner.run.aio(double)
    with pytest.raises(RuntimeUserError):
        await runner.run.aio(breaks)
    with pytest.raises(TypeError):
        await runner.run.aio(double, "x")
    await runner.run.aio(double)


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"mode": "bogus"}, ValueError, "mode can't be 'bogus'; choose one of: local, remote"),
        ({"mode": "remote"}, NotImplementedError, "mode='remote': there is no engine for it yet"),
        ({"mode": "hybrid"}, NotImplementedError, "mode='hybrid'"),
        ({"project": 3}, TypeError, "project takes a str, got 3"),
        ({"interruptible": "yes"}, TypeError, "interruptible takes a bool"),
        ({"custom_context": {"n": 3}}, TypeError, "custom_context takes str to str, got 'n': 3"),
        ({"custom_context": "x"}, TypeError, "custom_context takes a mapping"),
        ({"labels": {3: "n"}}, TypeError, "labels takes str to str, got 3: 'n'"),
        ({"annotations": {"n": None}}, TypeError, "annotations takes str to str"),
        ({"cache_lookup_scope": "galaxy"}, ValueError, "global, project-domain, run"),
        ({"copy_style": "some"}, ValueError, "copy_style can't be 'some'"),
        ({"log_format": "xml"}, ValueError, "log_format can't be 'xml'"),
        ({"log_level": "DEBUG"}, TypeError, "log_level takes a level of logging"),
        (
            {"overwrite_cache": True, "disable_run_cache": True},
            ValueError,
            "overwrite_cache and disable_run_cache contradict",
        ),
        ({"copy_bundle_to": Path("x")}, ValueError, "only with dry_run=True"),
        ({"raw_data_path": "s3:/my-bucket/runs/"}, ValueError, "raw_data_path can't be 's3:/my"),
        ({"run_base_dir": "ftp://host/"}, ValueError, "write a local path, file:///..., s3://"),
    ],
)
def test_parameters_are_checked_when_they_are_given(
    parameters: dict[str, Any], error: type[Exception], words: str
) -> None:
    """F31, F40"""
    with pytest.raises(error, match=words):
        trouper.with_runcontext(**parameters)


_HALF = "a\ud800"
_OF_TEXT = ("project", "domain", "name", "version", "queue", "raw_data_path", "run_base_dir")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        *((name, _HALF, name) for name in (*_OF_TEXT, "service_account", "workspace")),
        ("copy_bundle_to", Path(_HALF), "copy_bundle_to"),
        *((name, {"k": _HALF}, f"{name}['k']") for name in ("labels", "annotations")),
        *((name, {_HALF: "v"}, f"a key of {name}") for name in ("labels", "annotations")),
        ("custom_context", {"k": _HALF}, "custom_context['k']"),
        ("custom_context", {_HALF: "v"}, "a key of custom_context"),
    ],
)
def test_half_a_character_is_refused_wherever_it_stands(name: str, value: Any, told: str) -> None:
    """No record could hold it; nor does a context that was made by hand."""
    said = f"{told} can't be {_HALF!r}: '\\ud800' is half a character"
    with pytest.raises(ValueError, match="leave it out, or decode the bytes") as caught:
        trouper.with_runcontext(**{name: value})
    assert str(caught.value).startswith(said)
    if name in attrs.fields_dict(trouper.RunContext) and name not in ("workspace", "version"):
        fields: dict[str, Any] = {"run_name": "r", name: value}
        with pytest.raises(ValueError, match="is half a character") as by_hand:
            trouper.RunContext(**fields)
        assert str(by_hand.value).startswith(said)


def test_any_other_text_is_kept_as_it_is() -> None:
    run = trouper.with_runcontext(labels={"Größe": "🐘"}, domain="größer").run(double, 1)
    assert (run.context.labels, run.context.domain) == ({"Größe": "🐘"}, "größer")


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(TypeError, match="no parameter 'projet'; did you mean 'project'"):
        trouper.with_runcontext(projet="p")  # type: ignore[call-arg]  # the refusal is what is tested
