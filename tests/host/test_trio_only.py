"""What only trio can run says so elsewhere, and leaves nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

import trouper

env = trouper.TaskEnvironment("trio_only")


@env.task
async def one() -> int:
    return 1


def graph() -> trouper.Workflow:
    wf = trouper.Workflow("trio_only")

    @wf.task
    async def node() -> int:
        return 1

    return wf


async def execute(run: trouper.Run | None) -> None:
    await (graph().execute() if run is None else graph().execute(run=run))


async def open_graph(run: trouper.Run | None) -> None:
    async with graph().open() if run is None else graph().open(run=run):
        raise AssertionError("it was opened")


async def open_task(_: trouper.Run | None) -> None:
    async with trouper.with_runcontext(name="held", env_vars={"TRIO_ONLY": "1"}).open(one):
        raise AssertionError("it was opened")


@pytest.mark.parametrize(
    ("form", "instead"),
    [
        (execute, r"wf\.execute\(\) is for trio, and asyncio .*to_thread\(trouper\.run, wf\)"),
        (open_graph, r"wf\.open\(\) is for trio, and asyncio .*trouper\.open\(wf\) as run"),
        (open_task, r"runner\.open\(\) is for trio, and asyncio .*runner\.run\.aio\(task"),
    ],
)
def test_it_names_what_serves_under_asyncio(
    form: Callable[[trouper.Run | None], Awaitable[None]], instead: str
) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=instead):
            await form(None)

    asyncio.run(main())
    # Neither its name nor the variables are held.
    assert trouper.with_runcontext(name="held", env_vars={"TRIO_ONLY": "2"}).run(one).outputs()


@pytest.mark.parametrize("form", [execute, open_graph])
def test_a_run_of_a_workspace_has_not_begun(
    form: Callable[[trouper.Run | None], Awaitable[None]],
) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="is for trio"):
            await form(run)

    with trouper.Workspace() as workspace:
        run = workspace.project("p").experiment("e").run(id="r")
        asyncio.run(main())
        assert run.phase == "pending"


def test_without_any_loop_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="and no event loop runs here"):
        graph().execute().send(None)
