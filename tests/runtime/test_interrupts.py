"""Ctrl-C and SIGTERM, with real signals to real processes."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from harness.command import PATIENCE, STREAM, read_until, started, write
from trouper.runtime._interrupts import catch_interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_drains(tmp_path: Path, number: signal.Signals) -> None:
    """Case X6: what was accepted is handled, the ledger is closed, exit 130."""
    with started("run", write(tmp_path), "--json", "--override", "endless=true") as process:
        read_until(process, "started")
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "draining, 10 s at most; once more to cancel" in err
    assert '"status": "completed"' in out
    assert '"interrupted": true' in out
    assert '"is_ledger_closed": true' in out


def test_the_second_signal_cancels_a_stuck_actor(tmp_path: Path) -> None:
    # However late the second one comes, the drain still goes on.
    patient = "from trouper.runtime import _cli_run\n_cli_run.DRAIN_BUDGET = 6000.0\n"
    path = write(tmp_path, patient + STREAM)
    with started("run", path, "--json", "--override", "stuck=3") as process:
        read_until(process, "stuck")
        process.send_signal(signal.SIGINT)
        read_until(process, "draining")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "cancelling; once more to leave at once" in err
    assert '"status": "cancelled"' in out
    assert '"reason": "interrupted twice"' in out
    assert '"is_ledger_closed": true' in out


def test_the_third_signal_leaves_a_blocked_loop_at_once(tmp_path: Path) -> None:
    words = ["--override", "block=3", "--override", "seconds=600"]
    with started("run", write(tmp_path), *words) as process:
        read_until(process, "blocking")
        # Two kinds, because two of one kind that nobody has seen yet are one.
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        read_until(process, "a task blocks the event loop; once more to leave at once")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "interrupted three times: leaving at once" in err


async def test_handlers_are_put_back() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with catch_interrupts():
        assert signal.getsignal(signal.SIGINT) is not before[signal.SIGINT]
        assert signal.getsignal(signal.SIGTERM) is not before[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in before} == before


async def test_a_handler_not_set_from_python_gives_way_to_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_to: list[object] = []
    real = signal.signal

    def unknown_before(number: signal.Signals, handler: object) -> object:
        set_to.append(handler)
        real(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        return None

    monkeypatch.setattr(signal, "signal", unknown_before)
    with catch_interrupts():
        assert len(set_to) == 2
    assert set_to[2:] == [signal.SIG_DFL, signal.SIG_DFL]


async def test_signals_arrive_as_numbers() -> None:
    with catch_interrupts() as interrupts, trio.fail_after(PATIENCE):
        signal.raise_signal(signal.SIGTERM)
        assert await interrupts.receive() == 1
        signal.raise_signal(signal.SIGINT)
        assert await interrupts.receive() == 2


def test_another_thread_leaves_signals_alone() -> None:
    wf = trouper.Workflow("elsewhere")
    seen: list[object] = []

    @wf.task
    async def look() -> int:
        seen.append(signal.getsignal(signal.SIGINT))
        return 1

    results: list[trouper.WorkflowResult] = []
    thread = threading.Thread(target=lambda: results.append(trouper.run(wf)))
    before = signal.getsignal(signal.SIGINT)
    thread.start()
    thread.join()
    assert results[0].outputs == {"look": 1}
    assert seen == [before]


def finite(fail: Callable[[], None] | None = None) -> trouper.Workflow:
    wf = trouper.Workflow("finite")

    @wf.actor
    async def source(ctx: trouper.ActorContext[None, None, None, int]) -> None:
        for n in range(3):
            await ctx.send(n)
        if fail is not None:
            fail()

    @wf.actor(depends_on="source")
    async def sink(ctx: trouper.ActorContext[None, None, int]) -> None:
        async for _ in ctx:
            pass

    return wf


def test_run_blocks_until_the_graph_ends() -> None:
    result = trouper.run(finite())
    assert result.ok
    assert not result.interrupted


def test_ctrl_c_at_the_very_end_leaves_no_handler_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes when its own handler is back: the run is over, and SIGTERM is as before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    put_back: list[int] = []
    real = signal.signal

    def put(number: int, handler: Any) -> Any:
        replaced = real(number, handler)
        if getattr(replaced, "__module__", "") == "trouper.runtime._interrupts":
            put_back.append(number)
            if number == signal.SIGINT:
                signal.raise_signal(signal.SIGINT)
        return replaced

    monkeypatch.setattr(signal, "signal", put)
    with pytest.raises(KeyboardInterrupt):
        trouper.run(finite())
    assert sorted(put_back) == [signal.SIGINT, signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_harness_is_taken_as_by_the_other_ways_to_run() -> None:
    class Probe:
        def __init__(self) -> None:
            self.passed: list[tuple[str, str]] = []

        def at(self, point: str, node: str) -> None:
            self.passed.append((point, node))

    probe = Probe()
    assert trouper.run(finite(), harness=trouper.Harness(probe=probe, watchdog=None)).ok
    assert sorted(probe.passed) == [
        ("finish", "sink"),
        ("finish", "source"),
        ("start", "sink"),
        ("start", "source"),
    ]


def test_what_is_given_runs_beside_the_graph() -> None:
    seen: list[str] = []

    def plain(run: trouper.LiveRun) -> None:
        seen.append(run.name)

    async def beside(run: trouper.LiveRun) -> None:
        try:
            await trio.sleep_forever()
        finally:
            seen.append(run.status().status)

    name = trouper.run(finite(), on_start=plain).run_name
    trouper.run(finite(), on_start=beside)
    assert seen == [name, "completed"]


def test_a_failure_beside_the_graph_is_raised_bare() -> None:
    handles: list[trouper.LiveRun] = []

    async def fail(run: trouper.LiveRun) -> None:
        handles.append(run)
        raise LookupError("beside")

    wf = finite()

    @wf.actor
    async def endless(ctx: trouper.ActorContext) -> None:
        await trio.sleep_forever()

    with pytest.raises(LookupError, match="beside"):
        trouper.run(wf, on_start=fail)
    status = handles[0].status()
    assert status.status == "cancelled"
    assert {node.state for node in status.nodes.values()} <= {"done", "cancelled"}


def test_exit_passes_bare_and_several_stay_a_group() -> None:
    """Case P8."""

    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit) as caught:
        trouper.run(finite(leave))
    assert caught.value.code == 3
    assert caught.value.__context__ is None

    def both() -> None:
        raise BaseExceptionGroup("two", [SystemExit(3), KeyboardInterrupt()])

    with pytest.raises(BaseExceptionGroup, match="two"):
        trouper.run(finite(both))


def test_duration_drains_and_a_run_may_end_before() -> None:
    wf = finite()

    @wf.actor
    async def endless(ctx: trouper.ActorContext) -> None:
        async for _ in ctx.every(0.01):
            pass

    assert trouper.run(wf, duration=0.05).ok
    assert trouper.run(finite(), duration=1e6).ok
    with pytest.raises(ValueError, match=r"duration must be >= 0 s or None, got -1"):
        trouper.run(finite(), duration=-1)
    nothing: Any = None
    with pytest.raises(TypeError, match=r"takes a trouper\.Workflow or a task .*, got None"):
        trouper.run(nothing)


async def test_inside_a_loop_the_awaitable_form_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"trio already runs .* `await wf.execute"):
        trouper.run(finite())
