"""Equal calls at once are computed once: among tasks, threads and processes (F39)."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from harness.stores import child, go, line, open_at, told
from trouper.runtime.store._cache import Turn
from trouper.runtime.store._flights import Call, Found
from trouper.runtime.store._store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_at(tmp_path) as opened:
        yield opened


def call(key: bytes = b"k", *, overwrite: bool = False) -> Call:
    return Call(
        key=key,
        task="t",
        encode=msgspec.json.encode,
        decode=msgspec.json.decode,
        overwrite=overwrite,
    )


class Body:
    """Counts its calls, and waits in each until it is let go."""

    def __init__(self, value: Any = "value") -> None:
        self.value, self.calls, self.gate = value, 0, trio.Event()

    async def __call__(self) -> Any:
        self.calls += 1
        await self.gate.wait()
        return self.value


async def test_equal_calls_at_once_run_once_and_share_the_object(store: Store) -> None:
    """F39: four equal cached calls at once ran four times."""
    body, found = Body(["a", "list"]), list[Found]()

    async def one() -> None:
        found.append(await store.flights.get(call(), body))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(one)
        await wait_all_tasks_blocked()
        body.gate.set()
    assert body.calls == 1
    assert [each.is_computed for each in found] == [True, False, False, False]
    assert all(each.value is body.value for each in found)
    later = await store.flights.get(call(), body)
    assert (later, body.calls) == (Found(["a", "list"], False), 1)


async def test_other_keys_do_not_wait(store: Store) -> None:
    slow, fast = Body(), Body()
    fast.gate.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.flights.get, call(b"slow"), slow)
        await wait_all_tasks_blocked()
        assert (await store.flights.get(call(b"fast"), fast)).is_computed
        slow.gate.set()


async def test_when_the_leader_is_cancelled_the_next_one_leads(store: Store) -> None:
    first, second, found = Body("first"), Body("second"), list[Found]()
    leader = trio.CancelScope()

    async def lead() -> None:
        with leader:
            await store.flights.get(call(), first)

    async def follow() -> None:
        found.append(await store.flights.get(call(), second))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lead)
        await wait_all_tasks_blocked()
        nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        assert (first.calls, second.calls) == (1, 0)
        leader.cancel()
        await wait_all_tasks_blocked()
        assert second.calls == 1
        second.gate.set()
    assert found == [Found("second", True)]


async def test_a_failure_is_not_kept(store: Store) -> None:
    async def fail() -> None:
        raise ValueError("mine")

    for _ in range(2):
        with pytest.raises(ValueError, match="mine"):
            await store.flights.get(call(), fail)
    assert store.cache.size() == (0, 0)


async def test_an_equal_call_below_does_not_wait_for_itself(store: Store) -> None:
    async def inner() -> str:
        return "inner"

    async def outer() -> list[object]:
        below = await store.flights.get(call(), inner)
        return ["outer", below.value, below.is_computed]

    found = await store.flights.get(call(), outer)
    assert found.value == ["outer", "inner", True]


async def test_overwrite_computes_and_replaces(store: Store) -> None:
    old, new = Body("old"), Body("new")
    old.gate.set()
    new.gate.set()
    await store.flights.get(call(), old)
    assert await store.flights.get(call(overwrite=True), new) == Found("new", True)
    assert await store.flights.get(call(), old) == Found("new", False)


async def test_a_value_that_can_not_be_read_is_computed_again(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    turn = store.cache.begin(b"k")
    assert isinstance(turn, Turn)
    store.cache.finish(b"k", turn, b"{no json", task="t")
    body = Body()
    body.gate.set()
    assert await store.flights.get(call(), body) == Found("value", True)
    assert "the cached result of t can't be read" in caplog.text
    assert (await store.flights.get(call(), body)).is_computed is False


async def test_a_value_that_can_not_be_kept_is_returned_all_the_same(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    body = Body(object())
    body.gate.set()
    for calls in (1, 2):
        assert (await store.flights.get(call(), body)).value is body.value
        assert body.calls == calls
    assert "the result of t is not cached: " in caplog.text


async def test_a_store_that_fails_costs_the_cache_and_no_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_at(tmp_path).close()
    body = Body()
    body.gate.set()
    with open_at(tmp_path, read_only=True) as store:
        assert await store.flights.get(call(), body) == Found("value", True)
        assert store.flights.get_sync(call(), lambda: 3) == Found(3, True)
    assert "the result of t is not cached: the database" in caplog.text


def test_threads_share_one_computation(store: Store) -> None:
    gate, began, found = threading.Event(), threading.Event(), list[Found]()
    calls: list[int] = []
    polled = [threading.Event() for _ in range(3)]

    def compute() -> str:
        calls.append(1)
        began.set()
        assert gate.wait(60)
        return "value"

    def follow(number: int) -> None:
        found.append(store.flights.get_sync(call(), compute, poll=polled[number].set))

    lead = threading.Thread(target=lambda: found.append(store.flights.get_sync(call(), compute)))
    lead.start()
    assert began.wait(60)
    followers = [threading.Thread(target=follow, args=(n,)) for n in range(3)]
    for thread in followers:
        thread.start()
    for each in polled:
        assert each.wait(60)
    gate.set()
    for thread in [lead, *followers]:
        thread.join()
    assert len(calls) == 1
    assert sorted(each.is_computed for each in found) == [False, False, False, True]
    assert store.flights.get_sync(call(), compute) == Found("value", False)


def test_a_thread_leads_when_the_leader_failed(store: Store) -> None:
    def fail() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        store.flights.get_sync(call(), fail)

    def outer() -> list[Any]:
        return [store.flights.get_sync(call(), lambda: "below").value]

    assert store.flights.get_sync(call(), outer) == Found(["below"], True)


def test_the_wait_of_a_thread_can_be_ended(store: Store) -> None:
    """A cancelled run does not wait for what another process computes."""
    turn = store.cache.begin(b"k")

    def stop() -> None:
        raise KeyError("stopped")

    with pytest.raises(KeyError, match="stopped"):
        store.flights.get_sync(call(), lambda: "never", poll=stop)
    assert isinstance(turn, Turn)
    store.cache.give_up(turn)


async def test_a_thread_and_a_task_share_one_computation(store: Store) -> None:
    gate, began = threading.Event(), trio.Event()
    token, found = trio.lowlevel.current_trio_token(), list[Found]()
    body = Body()

    def compute() -> str:
        token.run_sync_soon(began.set)
        assert gate.wait(60)
        return "from the thread"

    async def follow() -> None:
        found.append(await store.flights.get(call(), body))
        assert body.calls == 0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            trio.to_thread.run_sync, partial(store.flights.get_sync, call(), compute)
        )
        await began.wait()
        nursery.start_soon(follow)
        await trio.lowlevel.checkpoint()
        gate.set()
    assert [each.value for each in found] == ["from the thread"]


COMPUTE = """
import msgspec, time
from trouper.runtime.store._flights import Call
wait()
def compute():
    say("computing")
    wait()
    return os.getpid()
call = Call(key=b"k", task="t", encode=msgspec.json.encode, decode=msgspec.json.decode)
with open_store(root) as store:
    say("found", store.flights.get_sync(call, compute).value)
"""


def test_processes_share_one_computation_also_when_the_first_is_killed(tmp_path: Path) -> None:
    """F39 across processes: of three, one computes; it is killed, and another one does."""
    with ExitStack() as stack:
        processes = [stack.enter_context(child(COMPUTE, tmp_path)) for _ in range(3)]
        open_at(tmp_path).close()
        first, *others = processes
        go(first)
        assert line(first) == "computing"
        for process in others:
            go(process)
        first.kill()
        first.wait()
        # Both wait for a line on stdin only once they compute, so both may be given one.
        for process in others:
            go(process)
        lines = [told(process) for process in others]
    answers = {each[-1] for each in lines}
    assert len(answers) == 1
    assert sorted(len(each) for each in lines) == [1, 2]


async def test_a_task_waits_for_another_process(store: Store, tmp_path: Path) -> None:
    body = Body()
    with child(COMPUTE, tmp_path) as process:
        go(process)
        assert line(process) == "computing"
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                found = await store.flights.get(call(), body)
                assert found == Found(process.pid, False)

            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            go(process)
    assert body.calls == 0
