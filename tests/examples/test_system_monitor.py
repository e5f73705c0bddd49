"""`examples/system_monitor.py`: the whole program, on this machine, however slow it is."""

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

import trouper
from harness.command import PATIENCE
from harness.programs import EXAMPLES, load_program, run_program

system_monitor = load_program("system_monitor")

PACE = {"vitals": 0.05, "processes": 0.15, "log": 0.02}
# At this one the judge is restarted less than 20 times in 10 s, however long the chaos goes on.
SLOWER = {"vitals": 0.3, "processes": 0.9, "log": 0.02}
# All machines use more memory than this.
LOW = {"memory": 0.002, "cpu": 0.002}
LINES = 40


@pytest.fixture(name="home", autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TROUPER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


Done = Callable[[trouper.StatusReport], bool]


def run(
    is_done: Done, beside: Callable[[], Awaitable[None]] | None = None, **config: Any
) -> trouper.WorkflowResult:
    """Run until enough was seen; then drain, for as long as that takes."""

    async def drain_when_done(run: trouper.LiveRun) -> None:
        if beside is not None:
            await beside()
        while not is_done(run.status()):  # noqa: ASYNC110  # nothing tells of a change
            await trio.sleep(0.01)
        await run.drain(1e6)

    config = {"pace": PACE, "table": False, **config}
    wf: trouper.Workflow = system_monitor.wf
    return trouper.run(wf, config=config, on_start=drain_when_done)


def alerts_sent(report: trouper.StatusReport | trouper.WorkflowResult) -> int:
    [edge] = [edge for edge in report.edges if edge.source == "anomalies.alerts"]
    return edge.sent


def read_alerts(path: Path) -> list[Any]:
    """Return the alerts of a file, each of whose lines is one."""
    lines = path.read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"\n") for line in lines)
    return [msgspec.json.decode(line, type=system_monitor.Alert) for line in lines]


async def write_log(path: Path, looked: threading.Event) -> None:
    """Append LINES lines, and rename the file half way."""
    # What is written before the first look is old.
    assert await trio.to_thread.run_sync(looked.wait, PATIENCE)
    for number in range(LINES):
        async with await trio.open_file(path, "a", encoding="utf-8") as file:
            await file.write(f"error {number} \x1b[2J\n")
        if number == LINES // 2:
            await trio.Path(path).rename(path.with_suffix(".1"))
        await trio.sleep(0.005)


@pytest.fixture(name="chaotic", scope="module")
def _chaotic(tmp_path_factory: pytest.TempPathFactory) -> tuple[trouper.WorkflowResult, list[Any]]:
    """Some seconds of chaos, with a log that is rotated meanwhile; the result and the alerts."""

    def is_enough(status: trouper.StatusReport) -> bool:
        lines, judge = status.nodes["log_lines"].sent, status.nodes["anomalies"]
        return lines == LINES and judge.failed >= 4 and status.dead_letters > 0

    folder = tmp_path_factory.mktemp("chaos")
    log, alerts = folder / "some.log", folder / "alerts.jsonl"
    config = {"chaos": True, "pace": SLOWER, "log": str(log), "alerts": str(alerts), "limits": LOW}
    with pytest.MonkeyPatch.context() as patch:
        looked, poll = threading.Event(), system_monitor.LogTail.poll

        def poll_and_tell(tail: Any) -> Any:
            found = poll(tail)
            looked.set()
            return found

        patch.setattr(system_monitor.LogTail, "poll", poll_and_tell)
        result = run(is_enough, lambda: write_log(log, looked), **config)
    return result, read_alerts(alerts)


def test_chaos_restarts_the_judge_and_the_run_completes(chaotic: Any) -> None:
    result, _ = chaotic
    assert (result.status, result.reason) == ("completed", "")
    judge = result.nodes["anomalies"]
    assert judge.state == "done"
    assert judge.incarnation == judge.failed + 1
    assert judge.failed == failures_of_chaos(
        result.nodes["vitals"].sent, result.nodes["processes"].sent
    )
    assert all(node.failed == 0 for node in result.nodes.values() if node.name != "anomalies")


def failures_of_chaos(looks: int, lists: int) -> int:
    """Each fifth look fails once, each third list of processes until it is given up."""
    return looks // 5 + 3 * (lists // 3)


def test_poison_becomes_dead_letters_with_their_history(chaotic: Any) -> None:
    """D1, as far as dead letters go."""
    result, _ = chaotic
    assert len(result.dead_letters) == result.nodes["processes"].sent // 3 > 0
    for letter in result.dead_letters:
        assert (letter.node, letter.reason) == ("anomalies", "max_attempts")
        assert letter.envelope.source == "processes"
        assert letter.envelope.attempt == len(letter.failures) == 3
        assert "is poison, attempt 3" in letter.failures[-1].message


def test_the_ledger_of_every_edge_is_closed(chaotic: Any) -> None:
    result, _ = chaotic
    assert {(edge.source, edge.target) for edge in result.edges} == {
        *((source, "anomalies") for source in ("vitals", "processes", "log_lines")),
        *((source, "sink") for source in ("anomalies.alerts", "vitals", "processes")),
    }
    for edge in result.edges:
        assert edge.is_closed
        settled = edge.acknowledged + edge.dead_lettered + edge.expired
        assert edge.sent == settled + sum(edge.dropped.values())


def test_every_alert_is_a_line_of_json_written_once(chaotic: Any) -> None:
    """Rule 1 of the program: crashes neither lose nor double an alert."""
    result, alerts = chaotic
    assert len(alerts) == alerts_sent(result)
    assert max(Counter((alert.at, alert.about, alert.text) for alert in alerts).values()) == 1
    raised = Counter(alert.about for alert in alerts if alert.change == "raised")
    assert raised["memory"] == 1


def test_every_line_of_the_log_is_seen_once_through_its_rotation(chaotic: Any) -> None:
    _, alerts = chaotic
    logged = [alert.text for alert in alerts if alert.change == "logged"]
    assert logged == [f"error {number} \\x1b[2J" for number in range(LINES)]


def test_without_log_or_alerts_it_uses_the_folder_of_trouper(home: Path) -> None:
    result = run(
        lambda status: status.nodes["vitals"].sent > 3 and alerts_sent(status) > 0, limits=LOW
    )
    assert result.status == "completed"
    assert result.nodes["log_lines"].sent == 0
    assert not result.dead_letters
    assert {alert.change for alert in read_alerts(home / "alerts.jsonl")} >= {"raised"}


def never(_: trouper.StatusReport) -> bool:
    return False


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"chaso": True}, "unknown field `chaso`; keys: log, alerts, limits, pace, top"),
        ({"limits": {"cpu": "high"}}, "got `str` - at `$.limits.cpu`"),
        ({"pace": {"vitals": 0}}, "Expected `float` > 0.0 - at `$.pace.vitals`"),
        ({"limits": {"pattern": "("}}, "limits.pattern='(' is no pattern"),
        ({"log": os.curdir}, "log='.' is a folder; name a file in it"),
        ({"alerts": os.curdir}, "alerts='.' is a folder; name a file in it"),
    ],
)
def test_what_is_configured_wrong_ends_it_before_anything_is_judged(
    config: dict[str, Any], problem: str
) -> None:
    result = run(never, **config)
    assert (result.status, result.failed_node) == ("failed", "thresholds")
    assert problem in str(result.error)
    assert result.nodes["anomalies"].incarnation == 0


def test_one_complaint_about_the_configuration_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    run(never, top="many")
    [record] = caplog.records
    assert "'thresholds' failed" in record.getMessage()


def test_run_directly_it_ends_with_a_report(tmp_path: Path) -> None:
    ended = run_program("system_monitor.py", "--for", "0.8", "--chaos", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, b"")
    text = ended.stdout.decode()
    assert re.search(r"completed after \d+\.\d s", text)
    assert text.count("  closed\n") == 6
    assert "OPEN" not in text


def test_without_psutil_it_says_what_to_install() -> None:
    script = "import sys, runpy; sys.modules['psutil'] = None; runpy.run_path(sys.argv[1])"
    command = [sys.executable, "-c", script, str(EXAMPLES / "system_monitor.py")]
    env = {**os.environ, "PYTHONPATH": str(EXAMPLES)}
    ended = subprocess.run(command, capture_output=True, env=env, timeout=PATIENCE, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        b"ImportError: the system monitor needs psutil; install it: pip install 'trouper[monitor]'"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b"{}\n"), (b"{}\n", b"{}\n{}\n"), (b'{"torn', b'{"torn\n{}\n')],
)
def test_an_alert_never_continues_a_line(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(before)
    system_monitor.append_line(path, b"{}")
    assert path.read_bytes() == after


# -- the judge, which only decides -------------------------------------------------------------

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def judge_all(key: str, *messages: Any) -> list[tuple[str, str]]:
    memory, found = system_monitor.Memory(), list[tuple[str, str]]()
    for message in messages:
        alerts, memory = system_monitor.judge({key: message}, system_monitor.Limits(), memory)
        found += [(alert.about, alert.change) for alert in alerts]
    return found


def vitals(cpu: float = 0.0, rate: float = 0.0) -> Any:
    return system_monitor.Vitals(NOON, (cpu, cpu), 10.0, {"net in": rate})


def test_an_alert_is_raised_once_and_cleared_well_below_the_limit() -> None:
    looks = [vitals(cpu) for cpu in (90.0, 90.1, 95.0, 89.0, 81.5, 80.9, 50.0, 91.0)]
    expected = [("cpu", "raised"), ("cpu", "cleared"), ("cpu", "raised")]
    assert judge_all("vitals", *looks) == expected


def test_a_rate_is_judged_by_what_is_usual() -> None:
    assert judge_all("vitals", *[vitals(rate=5e8)] * 3) == []
    jump = [vitals(rate=rate) for rate in (2e5, 2e5, 9e5, 4e6, 2e5)]
    assert judge_all("vitals", *jump) == [("net in", "raised"), ("net in", "cleared")]


def test_a_process_that_has_ended_is_cleared() -> None:
    busy = system_monitor.Process(7, "make", 99.0, 0)
    lists = [system_monitor.Busiest(NOON, (busy,)), system_monitor.Busiest(NOON, ())]
    expected = [("process 7 make", "raised"), ("process 7 make", "cleared")]
    assert judge_all("processes", *lists) == expected


def test_lines_of_the_log_are_judged_by_the_pattern() -> None:
    lines = [system_monitor.LogLine(NOON, text) for text in ("an ERROR", "terrors", "panic: x")]
    assert judge_all("log_lines", *lines) == [("log", "logged")] * 2


def test_the_demo_reports_what_became_of_every_message(tmp_path: Path) -> None:
    """What `make demo` runs, at a quicker pace."""
    command = [str(Path(sys.executable).with_name("trouper")), "run"]
    command += [str(EXAMPLES / "system_monitor.py"), "--for", "1.5", "--json"]
    for override in ("chaos=true", "pace.vitals=0.05", "pace.processes=0.15"):
        command += ["--override", override]
    ended = subprocess.run(
        command, capture_output=True, cwd=tmp_path, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 0
    report = msgspec.json.decode(ended.stdout)
    judge, looks, lists = (
        report["nodes"]["anomalies"],
        report["nodes"]["vitals"]["sent"],
        report["nodes"]["processes"]["sent"],
    )
    assert judge["failed"] == failures_of_chaos(looks, lists)
    assert judge["dead_lettered"] == report["dead_letters"]["kept"] == lists // 3
    assert [edge["queued"] + edge["leased"] for edge in report["edges"]] == [0] * 6
