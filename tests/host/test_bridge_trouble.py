"""What goes wrong between trio and asyncio: none of it hangs, and none is lost without a word."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.hosts import HOSTS, Host, run_in, until
from trouper.runtime.cli import main

each_host = pytest.mark.parametrize("host", HOSTS)


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


async def two(one: int, other: int) -> int:
    return one + other


async def numbers() -> AsyncIterator[int]:
    for number in range(3):
        yield number


# -- asyncio itself --------------------------------------------------------------------------


@each_host
def test_a_cancel_that_comes_from_asyncio_is_a_failure(host: Host) -> None:
    """Who cancels the task there has not asked the run: the actor fails, and is restarted."""
    tries: list[int] = []

    async def unlucky(number: int) -> int:
        tries.append(number)
        if len(tries) == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        return number

    workflow = trouper.Workflow("unlucky")
    workflow.add(trouper.asyncio_bridge(unlucky))

    async def use(run: Any) -> None:
        assert await run.ask(5, to="unlucky") == 5

    result = run_in(host, workflow, use)
    assert tries == [5, 5]
    assert "raised asyncio.CancelledError although nobody" in str(result.nodes["unlucky"].failures)


@each_host
def test_an_error_that_is_false_is_an_error(host: Host) -> None:
    class Problems(Exception):  # as libraries have it: a list of what is wrong
        def __len__(self) -> int:
            return len(self.args)

    async def fail(_: int) -> int:
        raise Problems

    workflow = trouper.Workflow("failing")
    workflow.add(trouper.asyncio_bridge(fail), max_attempts=1)

    async def use(run: Any) -> None:
        with pytest.raises(trouper.AskFailed, match="Problems"):
            await run.ask(1, to="fail")

    run_in(host, workflow, use)


@each_host
def test_an_exit_passes_through_the_run(host: Host) -> None:
    """P8: no supervisor takes it; whoever has opened the run gets it."""

    async def leave(_: int) -> None:
        raise SystemExit(7)

    workflow = trouper.Workflow("leaving")
    workflow.add(trouper.asyncio_bridge(leave))

    async def use(run: Any) -> None:
        await run.send(1, to="leave")
        await run.wait()

    with pytest.raises(BaseException) as caught:  # noqa: PT011  # trio wraps it in groups
        run_in(host, workflow, use)
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, SystemExit)


def test_an_exit_of_a_source_passes_through_the_run() -> None:
    async def leave() -> AsyncIterator[int]:
        yield 1
        raise SystemExit(7)

    workflow = trouper.Workflow("leaving")
    workflow.add(trouper.asyncio_bridge(leave))
    with pytest.raises(SystemExit):
        trouper.run(workflow, workspace=False)


def test_a_host_loop_that_is_closed_in_the_middle_is_told() -> None:
    """Neither the call that is under way nor the next one waits for ever."""
    begun = threading.Event()

    async def endless(_: int) -> None:
        begun.set()
        await asyncio.Event().wait()

    workflow = trouper.Workflow("closed")
    workflow.add(trouper.asyncio_bridge(endless), max_attempts=2)
    loop = asyncio.new_event_loop()
    opened: list[trouper.AsyncioRun] = []

    async def start() -> None:
        run = trouper.open(workflow, host="thread")
        assert isinstance(run, trouper.AsyncioRun)
        opened.append(await run.__aenter__())
        await run.send(1, to="endless")
        await until(begun.is_set)

    loop.run_until_complete(start())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # that is the test
    loop.close()
    (live,) = opened
    ended = threading.Event()
    while not live.dead_letters():
        ended.wait(0.01)
    (letter,) = live.dead_letters()
    assert letter.attempts[-1].failure is not None
    assert "the asyncio loop that runs endless is closed" in letter.attempts[-1].failure.message
    live._leave_soon("the host has gone")  # pyright: ignore[reportPrivateUsage]  # no public way


# -- batches and generators for each message -------------------------------------------------


@each_host
def test_a_batch_is_a_list_of_what_is_there(host: Host) -> None:
    """X22: one that fails comes back as batches of one."""
    batches: list[list[int]] = []

    async def write(rows: list[int]) -> None:
        batches.append(rows)
        if 13 in rows:
            raise ValueError("unlucky")

    workflow = trouper.Workflow("batches")
    workflow.add(trouper.asyncio_bridge(write, batch=4), capacity=64, max_attempts=2)

    async def use(run: Any) -> None:
        for number in range(10, 20):
            await run.send(number, to="write")

    result = run_in(host, workflow, use)
    assert {number for batch in batches for number in batch} == {*range(10, 20)}
    assert all(len(batch) <= 4 for batch in batches)
    (letter,) = result.dead_letters
    assert letter.envelope.payload == 13
    assert result.nodes["write"].dead_lettered == 1


@each_host
def test_a_generator_is_called_for_each_message(host: Host) -> None:
    async def words(line: str) -> AsyncIterator[str]:
        for word in line.split():
            await asyncio.sleep(0)
            yield word

    workflow = trouper.Workflow("words")
    workflow.add(trouper.asyncio_bridge(words), on_redelivery="skip")
    got: list[str] = []

    async def use(run: Any) -> None:
        async with run.stream("words") as stream:
            await run.send("to be or", to="words")
            await run.send("not", to="words")
            got.extend([await anext(stream) for _ in range(4)])

    assert run_in(host, workflow, use).status == "completed"
    assert got == ["to", "be", "or", "not"]


def test_a_batch_goes_to_a_generator_as_well() -> None:
    async def total(ctx: Any, rows: list[int]) -> Any:
        assert ctx.message is ctx.messages[0]
        yield sum(rows)

    workflow = trouper.Workflow("sums")

    @workflow.actor
    async def source(ctx: trouper.ActorContext[None, None, None, int]) -> AsyncIterator[int]:
        for number in range(10):
            yield number

    bridge: Any = trouper.asyncio_bridge(total, batch=100)
    workflow.add(bridge, depends_on=["source"])

    @workflow.task(depends_on=["total"], collect="all")
    async def whole(sums: list[int]) -> int:
        return sum(sums)

    assert trouper.run(workflow, workspace=False).unwrap()["whole"] == 45


def test_a_function_that_takes_nothing_is_called_once() -> None:
    async def load() -> list[int]:
        return [1, 2]

    async def announce() -> None:
        said.append("hello")

    said: list[str] = []
    workflow = trouper.Workflow("once")
    workflow.actor(trouper.asyncio_bridge(load))
    workflow.actor(trouper.asyncio_bridge(announce))
    result = trouper.run(workflow, workspace=False)
    assert (result.outputs, said) == ({"load": [1, 2]}, ["hello"])


# -- what is refused -------------------------------------------------------------------------


def sync(x: int) -> int:
    return x


def generator() -> Generator[int]:
    yield 1


class Holder:
    async def run(self, ctx: Any) -> None: ...


@pytest.mark.parametrize(
    ("fn", "options", "error", "told"),
    [
        (sync, {}, TypeError, "takes an `async def` for asyncio, got sync"),
        (generator, {}, TypeError, "plain generator"),
        (Holder, {}, TypeError, r"takes an `async def` for asyncio, got Holder\.run"),
        (double, {"batch": 0}, ValueError, "batch takes an int >= 1, got 0"),
        (double, {"batch": True}, ValueError, "batch takes an int >= 1, got True"),
        (double, {"buffer": 5}, TypeError, "only on an async generator"),
        (numbers, {"buffer": 0}, ValueError, "buffer takes an int >= 1"),
        (double, {"shutdown": -1}, ValueError, "shutdown takes seconds >= 0, got -1"),
    ],
)
def test_what_is_not_legal_is_refused(
    fn: Any, options: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        trouper.asyncio_bridge(fn, **options)


def test_what_can_not_be_an_actor_is_refused_when_it_is_added() -> None:
    workflow = trouper.Workflow("refused")
    with pytest.raises(TypeError, match="needs 'one', 'other'"):
        workflow.actor(trouper.asyncio_bridge(two))
    with pytest.raises(TypeError, match=r"batch of asyncio_bridge\(numbers\) has an effect only"):
        workflow.actor(trouper.asyncio_bridge(numbers, batch=3))
    with pytest.raises(TypeError, match="no task"):
        workflow.task(trouper.asyncio_bridge(numbers))


def test_a_function_of_several_is_a_task_and_a_partial_of_it_an_actor() -> None:
    workflow = trouper.Workflow("several")

    @workflow.task
    async def one() -> int:
        return 1

    @workflow.task
    async def other() -> int:
        return 2

    workflow.task(depends_on=[one, other])(trouper.asyncio_bridge(two))
    partial: Any = functools.partial(two, 10)
    workflow.add(trouper.asyncio_bridge(partial), name="ten_more", depends_on=[one])
    result = trouper.run(workflow, workspace=False)
    assert (result.outputs["two"], result.outputs["ten_more"]) == (3, 11)


def test_types_are_checked_as_of_the_function_behind_it() -> None:
    async def shout(text: str) -> str:
        return text.upper()

    workflow = trouper.Workflow("typed")
    source = workflow.add(trouper.asyncio_bridge(numbers))
    workflow.add(trouper.asyncio_bridge(shout), depends_on=[source])
    with pytest.raises(trouper.GraphError, match="int"):
        workflow.check()


def test_an_annotation_that_is_no_type_stops_nothing() -> None:
    async def odd(x: "5", other: int = 1, *rest: str, more: int = 2) -> 6:  # type: ignore[valid-type]  # on purpose
        return (x, other, rest, more)

    workflow = trouper.Workflow("odd")
    workflow.actor(trouper.asyncio_bridge(odd))

    async def use(run: Any) -> None:
        assert await run.ask("x", to="odd") == ("x", 1, (), 2)

    run_in("trio", workflow, use)


def test_the_context_there_tells_the_attempt_and_the_upstreams() -> None:
    seen: list[Any] = []

    async def load(ctx: trouper.TaskContext) -> int:
        seen.append((ctx.attempt, ctx.upstreams))
        if len(seen) == 1:
            raise ValueError("once")
        return 1

    workflow = trouper.Workflow("telling")

    @workflow.task
    async def before() -> int:
        return 1

    workflow.task(depends_on=[before], restart="transient")(trouper.asyncio_bridge(load))
    assert trouper.run(workflow, workspace=False).unwrap()["load"] == 1
    assert seen == [(1, ("before",)), (2, ("before",))]


def test_the_check_names_the_function_behind_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bridged.py"
    file.write_text(
        "import trouper\n"
        "wf = trouper.Workflow('bridged')\n"
        "async def consume():\n    yield 1\n"
        "wf.actor(trouper.asyncio_bridge(consume))\n"
    )
    assert main(["check", str(file)]) == 0
    assert "function consume in asyncio: called anew, fresh state" in capsys.readouterr().out
    workflow = trouper.Workflow("unfed")
    workflow.task(trouper.asyncio_bridge(double))
    with pytest.raises(trouper.GraphError, match=r"'double' can't be called: double\("):
        workflow.check()


async def test_it_is_refused_where_no_run_goes_on() -> None:
    with pytest.raises(RuntimeError, match="call it in the body of a node"):
        await trouper.asyncio_bridge(double)(1)
    with pytest.raises(RuntimeError, match="call it in the body of a node"):
        trouper.asyncio_bridge(numbers)()


def test_it_is_refused_in_asyncio_itself() -> None:
    async def go() -> None:
        with pytest.raises(RuntimeError, match="in asyncio, await double itself"):
            await trouper.asyncio_bridge(double)(1)

    asyncio.run(go())


def test_what_is_read_is_entered_once_and_read_inside() -> None:
    workflow = trouper.Workflow("misuse")

    @workflow.task
    async def body() -> list[int]:
        yields = trouper.asyncio_bridge(numbers)()
        with pytest.raises(RuntimeError, match="loop over xs"):
            await anext(yields)
        async with yields as xs:
            found = [x async for x in xs]
        with pytest.raises(RuntimeError, match="call the bridge again"):
            await yields.__aenter__()
        return found

    assert trouper.run(workflow, workspace=False).unwrap()["body"] == [0, 1, 2]
