"""`examples/monitoring/`: rates from counters, and what stands on the terminal."""

import io
import os
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from rich.console import Console

import trouper
from harness.programs import load_program

machine = load_program("monitoring.machine")
screen = load_program("monitoring.screen")
plain = load_program("monitoring.plain").plain

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def counters(seconds: float, cores: Any, **totals: int) -> Any:
    return machine.Counters(seconds, cores, totals, 40.0)


def test_rates_are_differences_by_seconds() -> None:
    before = counters(10.0, ((1.0, 8.0), (5.0, 8.0)), disk=1000)
    after = counters(12.0, ((2.0, 10.0), (7.0, 10.0)), disk=4000)
    vitals = machine.compute_vitals(before, after)
    assert (vitals.cpu, vitals.memory, vitals.rates) == ((50.0, 100.0), 40.0, {"disk": 1500.0})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (counters(1.0, ((5.0, 9.0),), net=900), counters(2.0, ((0.1, 0.2),), net=5)),
        (counters(1.0, ((5.0, 9.0),)), counters(1.0, ((5.0, 9.0), (7.0, 8.0)), net=5)),
    ],
    ids=["started again", "no time, and a core and a network that are new"],
)
def test_counters_that_start_again_count_as_still(before: Any, after: Any) -> None:
    vitals = machine.compute_vitals(before, after)
    assert (vitals.cpu, vitals.rates) == ((0.0,), {"net": 0.0})


def test_this_machine_has_cores_and_memory() -> None:
    vitals = machine.compute_vitals(machine.read_counters(), machine.read_counters())
    assert vitals.cpu
    assert 0 < vitals.memory < 100
    assert set(vitals.rates) == {"disk read", "disk write", "net in", "net out"}


@pytest.mark.parametrize("failure", [OSError(), NotImplementedError(), RuntimeError()])
def test_a_machine_without_counters_of_disks_stands_still(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def refuse() -> None:
        raise failure

    monkeypatch.setattr(machine.psutil, "disk_io_counters", refuse)
    monkeypatch.setattr(machine.psutil, "net_io_counters", lambda: None)
    assert set(machine.read_counters().totals.values()) == {0}


def usage(seconds: float, **cpu: float) -> Any:
    found = {(int(pid[1:]), 1.0): machine.Used(pid, used, 5) for pid, used in cpu.items()}
    return machine.Usage(seconds, found)


def test_busiest_processes_come_first_and_new_ones_wait_for_the_next_look() -> None:
    before, after = usage(10.0, p1=1.0, p2=5.0, p3=0.0), usage(12.0, p1=1.5, p2=6.0, p3=0, p4=9.0)
    found = machine.find_busiest(before, after, 2)
    assert [(each.name, each.cpu) for each in found] == [("p2", 50.0), ("p1", 25.0)]


def test_a_pid_that_was_given_out_again_is_another_process() -> None:
    before = usage(1.0, p1=100.0)
    after = machine.Usage(2.0, {(1, 1.5): machine.Used("new", 0.5, 5)})
    assert machine.find_busiest(before, after, 5) == ()


def test_this_process_is_found_among_all() -> None:
    assert os.getpid() in {pid for pid, _ in machine.read_usage().processes}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zsh é 日本", "zsh é 日本"),
        ("\x1b]0;x\x07", "\\x1b]0;x\\x07"),
        ("\x9b\u202e\udcff\n", "\\x9b\\u202e\\udcff\\n"),
    ],
)
def test_nothing_from_outside_drives_the_terminal(text: str, expected: str) -> None:
    assert plain(text) == expected


def draw(*, terminal: bool, wanted: bool = True) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, color_system=None)
    with screen.open_screen(wanted, console) as shown:
        assert shown.is_on == (terminal and wanted)
        shown.show(vitals=machine.Vitals(NOON, (10.0, 30.0), 40.0, {"disk read": 2.5e6}))
        shown.show(processes=[machine.Process(7, "[red]make[/]", 12.5, 3_000_000)])
        shown.show(alert="[bold]cpu raised")
    return out.getvalue()


def test_the_machine_is_drawn_on_a_terminal_without_markup_from_outside() -> None:
    last = draw(terminal=True).rpartition("this machine")[2]
    for text in ("20.0 %   busiest of 2 cores  30.0 %", "2.500 MB/s", "[red]make[/]"):
        assert text in last
    assert "[bold]cpu raised" in last


@pytest.mark.parametrize("options", [{"terminal": False}, {"terminal": True, "wanted": False}])
def test_nothing_is_drawn_elsewhere(options: dict[str, bool]) -> None:
    assert draw(**options) == ""


def test_the_report_names_an_edge_that_is_open() -> None:
    edge = trouper.EdgeReport(
        source="a",
        target="b",
        sent=9,
        acknowledged=4,
        dead_lettered=1,
        expired=0,
        dropped={"latest": 2},
        queued=1,
        leased=1,
        capacity=64,
        overflow="block",
        peak=3,
        blocked=0.0,
    )
    workflow = trouper.Workflow("small")

    @workflow.task
    def nothing() -> None: ...

    result = msgspec.structs.replace(trouper.run(workflow), edges=(edge,))
    report = screen.closing_report(result)
    assert "a -> b" in report
    assert "OPEN: 1 queued, 1 leased" in report
