"""Another loop of asyncio: the one that `pip install 'uvicorn[standard]'` brings."""

import asyncio
from typing import Any

import pytest
import trio
import uvloop

import trouper
from harness.hosts import LIMIT, relaying

# libuv opens a pipe at its first loop, once for the whole process.
uvloop.new_event_loop().close()


async def ten_more(number: int) -> int:
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    await asyncio.sleep(0)
    return number + 10


@pytest.mark.parametrize("host", ["thread", "guest"])
def test_questions_streams_bridges_and_cancels(host: Any) -> None:
    workflow = relaying()
    workflow.add(trouper.asyncio_bridge(ten_more), depends_on=["relay"])

    async def main() -> trouper.WorkflowResult:
        async with (
            asyncio.timeout(LIMIT),
            trouper.open(workflow, host=host) as run,
            run.stream("ten_more") as numbers,
        ):
            assert [await run.ask(n, to="relay") for n in range(3)] == [0, 1, 2]
            assert [await anext(numbers) for _ in range(3)] == [10, 11, 12]
            waiting = asyncio.create_task(run.call_there(trio.sleep_forever))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        return await run.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()).status == "completed"
