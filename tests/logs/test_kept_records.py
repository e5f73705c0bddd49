"""What is kept of the records of a run: in memory, and in its folder; bounded in both places."""

import json
import logging
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from harness.command import PATIENCE
from harness.logs import Kept, root_logger
from trouper.runtime.logs._file import NAME, OLDER, LogFile, read_lines
from trouper.runtime.logs._line import LogLine, line_of, read_line
from trouper.runtime.logs._locks import _free_in_child
from trouper.runtime.logs._of_run import logging_of, logs_of, recorded_lines
from trouper.runtime.logs._run_logs import RunLogs
from trouper.runtime.logs._stamp import Stamp

log = logging.getLogger("program.kept")


def record(message: str, **more: Any) -> logging.LogRecord:
    made = log.makeRecord(log.name, logging.WARNING, __file__, 1, message, (), None)
    vars(made).update(more)
    return made


def line(message: str) -> LogLine:
    return line_of(record(message), Stamp("run", "action", "actor", 2))


def messages(lines: Any) -> list[str]:
    return [each.message for each in lines]


# -- in memory ------------------------------------------------------------------------------------


def test_memory_keeps_the_newest_and_counts_the_rest() -> None:
    logs = RunLogs("r", {}, most=2)
    logs.prints = False
    for number in range(5):
        logs.take(record(str(number)), Stamp("r"))
    assert messages(logs.lines()) == ["3", "4"]
    assert logs.lines().fallen_out == 3


def test_lines_of_another_process_are_taken_over() -> None:
    logs = RunLogs("r", {}, most=2)
    logs.take_over([line("a"), line("b"), line("c")])
    assert (messages(logs.lines()), logs.lines().fallen_out) == (["b", "c"], 1)


def test_a_context_that_was_made_by_hand_has_logs_too() -> None:
    context = trouper.RunContext(run_name="by-hand")
    assert logs_of(context) is logs_of(context)
    with root_logger(), redirect_stderr(StringIO()), logging_of(context):
        log.warning("beside any task")
    (found,) = logs_of(context).lines()
    assert (found.run, found.action, found.actor, found.attempt) == ("by-hand", "", "", 0)
    assert found.as_text().endswith(" WARNING by-hand: beside any task")


def test_whatever_a_program_puts_beside_a_record_is_kept_as_plain_data() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise OSError("no repr")

        __str__ = __repr__

    given = {"deep": {"list": [1, (2,)]}, "odd": Odd(), "cycle": [], "nan": float("nan")}
    given["cycle"].append(given["cycle"])  # type: ignore[attr-defined]  # it is the list above
    found = line_of(record("m", **given), Stamp("r"))
    assert found.extra is not None
    assert found.extra["deep"] == {"list": [1, [2]]}
    assert "OSError" in str(found.extra["odd"])
    assert read_line(found.as_json()) is not None


def test_stacks_are_kept_with_the_exception() -> None:
    try:
        raise OSError("broken")
    except OSError as error:
        info = (type(error), error, error.__traceback__)
    found = line_of(
        record("m", exc_info=info, stack_info="Stack (most recent call last)"), Stamp("r")
    )
    assert found.exception is not None
    assert "OSError: broken" in found.exception
    assert found.exception.endswith("Stack (most recent call last)")
    assert found.as_text().endswith("Stack (most recent call last)")


def test_secrets_are_masked_in_all_of_a_record() -> None:
    secret = trouper.Secret("swordfish")
    try:
        raise OSError(f"with {secret.reveal()}")
    except OSError as error:
        info = (type(error), error, error.__traceback__)
    extra = {"whole": secret, "text": "a swordfish", "bytes": [{"swordfish": 1}]}
    found = line_of(record("the swordfish", exc_info=info, **extra), Stamp("r"))
    assert "swordfish" not in found.as_json() + found.as_text()
    assert found.extra == {"whole": "***", "text": "a ***", "bytes": [{"***": 1}]}


# -- a file ---------------------------------------------------------------------------------------


def test_lines_are_on_disk_when_append_returns(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "logs"
    file = LogFile(folder)
    assert not folder.exists()
    first = line("first")
    file.append(first)
    assert list(read_lines(folder)) == [first]
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    file.close()
    file.append(line("second"))
    file.close()
    assert messages(read_lines(folder)) == ["first", "second"]


def test_a_file_is_bounded_and_its_older_half_falls_out(tmp_path: Path) -> None:
    size = len(line("00").as_json()) + 1
    file = LogFile(tmp_path, most=2 * 3 * size)
    for number in range(10):
        file.append(line(f"{number:02}"))
    file.close()
    assert messages(read_lines(tmp_path)) == ["06", "07", "08", "09"]
    sizes = [(tmp_path / name).stat().st_size for name in (OLDER, NAME)]
    assert sum(sizes) <= 2 * 3 * size
    small = LogFile(tmp_path, most=10)
    small.append(line("longer than half"))
    small.close()
    assert messages(read_lines(tmp_path))[-1] == "longer than half"


def test_a_line_in_the_middle_of_another_one_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler may log, or a finalizer: it waited for the lock of its own thread."""
    file, write = LogFile(tmp_path, most=10), os.write
    inner = ["second", "third"]

    def interrupted(fd: int, data: bytes) -> int:
        while inner:
            file.append(line(inner.pop(0)))
        return write(fd, data)

    monkeypatch.setattr(os, "write", interrupted)
    file.append(line("first"))
    file.close()
    assert messages(read_lines(tmp_path)) == ["second", "third"]  # it is bounded

    logs = RunLogs("run", {"log_level": logging.INFO})
    with logs._lock:
        logs.take(record("while it is looked at"), Stamp("run"))
    assert messages(logs.lines()) == ["while it is looked at"]


def test_a_child_logs_though_it_was_forked_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """X6: the thread that holds the locks is not in the child."""
    file, logs = LogFile(tmp_path), RunLogs("run", {"log_level": logging.INFO})
    with ThreadPoolExecutor(1) as other:
        other.submit(file._lock.acquire).result()
        other.submit(logs._lock.acquire).result()
        _free_in_child()
        file.append(line("of the child"))
        logs.take(record("of the child"), Stamp("run"))
    file.close()
    assert messages(read_lines(tmp_path)) == messages(logs.lines()) == ["of the child"]


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    first, second = LogFile(tmp_path), LogFile(tmp_path)
    for number in range(4):
        (first if number % 2 else second).append(line(str(number)))
    first.close()
    second.close()
    assert messages(read_lines(tmp_path)) == ["0", "1", "2", "3"]


def test_torn_and_strange_lines_are_left_out(tmp_path: Path) -> None:
    good = line("good").as_json()
    (tmp_path / NAME).write_text(
        f'{good[:20]}\n{{"a": 1}}\n\n{good}\n{good[:-3]}', encoding="utf-8"
    )
    assert messages(recorded_lines(tmp_path)) == ["good"]
    assert recorded_lines(tmp_path / "missing") == ()


def test_a_disk_that_takes_no_more_ends_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    logs = RunLogs("full", {})
    logs.prints = False
    logs.keep_in(tmp_path)
    monkeypatch.setattr("trouper.runtime.logs._file.os.write", write)
    logs.take(record("first"), Stamp("full"))
    logs.take(record("second"), Stamp("full"))
    logs.close()
    assert messages(logs.lines()) == ["first", "second"]
    assert capsys.readouterr().err.splitlines() == [
        "run full: its records can't be written any more: [Errno 28] No space left on device"
    ]


# -- of recorded runs -----------------------------------------------------------------------------


@trouper.TaskEnvironment("kept").task
async def says(text: str) -> None:
    log.warning(text)


def test_a_recorded_run_keeps_them_in_its_folder(tmp_path: Path) -> None:
    """They are there at once, and after the process; a second execution adds its own."""
    runner = trouper.with_runcontext(name="again", project="p", workspace=tmp_path)
    runner.run(says, "first")
    run = runner.run(says, "second")
    assert messages(run.logs()) == ["second"]
    found = trouper.Workspace(tmp_path).project("p").experiment().run(id="again")
    assert messages(found.logs()) == ["first", "second"]
    lines = (found.path / "logs" / NAME).read_text(encoding="utf-8").splitlines()
    assert [json.loads(each)["message"] for each in lines] == ["first", "second"]


def test_a_run_that_logs_nothing_leaves_no_file(tmp_path: Path) -> None:
    @trouper.TaskEnvironment("kept").task
    async def silent() -> None: ...

    run = trouper.with_runcontext(workspace=tmp_path).run(silent)
    assert not (run.path / "logs").exists()
    assert run.logs() == ()


async def test_a_graph_in_a_run_of_a_workspace_logs_as_that_run(tmp_path: Path) -> None:
    calls: list[int] = []

    async def batch() -> None:
        log.warning("batch")
        calls.append(1)
        if len(calls) == 1:
            raise OSError("again")

    wf = trouper.Workflow("graph")
    wf.add(batch, restart="transient")
    with trouper.Workspace(tmp_path) as workspace:
        run = workspace.project("p").experiment("e").run(id="one")
        with root_logger(), redirect_stderr(StringIO()), trio.fail_after(PATIENCE):
            await wf.execute(run=run)
    own = [each for each in run.logs() if each.logger == log.name]
    assert [(each.run, each.actor, each.attempt) for each in own] == [
        ("one", "batch", 1),
        ("one", "batch", 2),
    ]
    assert logging.getLogRecordFactory() is logging.LogRecord


# -- above a picture ------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"log_format": "json"}])
def test_the_command_line_shows_each_record_once(more: Any) -> None:
    from trouper.runtime._cli_logging import log_lines

    said: list[str] = []
    printed = StringIO()
    with root_logger(), log_lines(said.append), redirect_stderr(printed):
        trouper.with_runcontext(name="shown", **more).run(says, "once")
    assert printed.getvalue() == ""
    (shown,) = said
    assert "once" in shown
    assert shown.startswith("{") == bool(more)


# -- what breaks ----------------------------------------------------------------------------------


def test_a_record_that_can_not_be_formatted_breaks_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As every handler of the standard library: it tells so, and goes on."""

    @trouper.TaskEnvironment("broken").task
    async def breaks() -> None:
        log.warning("%d is no number", "this")
        log.warning("after")

    with root_logger():
        run = trouper.with_runcontext().run(breaks)
    assert messages(run.logs()) == ["after"]
    assert "--- Logging error ---" in capsys.readouterr().err


def test_a_program_that_sets_up_logging_anew_keeps_the_run_going() -> None:
    own = Kept()

    @trouper.TaskEnvironment("anew").task
    async def sets_up() -> None:
        logging.basicConfig(force=True, handlers=[own], level=logging.WARNING)
        log.warning("to the program")
        await trouper.with_runcontext(name="inner").run.aio(says, "in a run")

    with root_logger():
        run = trouper.with_runcontext(name="outer").run(sets_up)
        assert logging.getLogger().handlers == [own]
    assert messages(run.logs()) == []
    assert own.messages() == ["to the program", "in a run"]


def test_records_travel_to_other_processes_and_queues() -> None:
    import copy
    import pickle

    kept = Kept()
    with root_logger(kept):
        trouper.with_runcontext(name="travels").run(says, "far")
    (found,) = kept.records
    for travelled in (pickle.loads(pickle.dumps(found)), copy.copy(found)):
        assert (vars(travelled)["run"], travelled.getMessage()) == ("travels", "far")
    with pytest.raises(AttributeError, match="has no attribute 'strange'"):
        found.strange  # type: ignore[attr-defined]  # noqa: B018  # the refusal is what is tested


def test_a_record_that_is_made_from_a_dict_stays_as_it_is() -> None:
    """`logging.makeLogRecord`, as listeners of sockets and queues call it."""
    seen: list[logging.LogRecord] = []

    @trouper.TaskEnvironment("made").task
    async def makes() -> None:
        seen.append(logging.makeLogRecord({"run": "another", "levelno": 30}))

    trouper.with_runcontext(log_level=logging.ERROR).run(makes)
    assert (vars(seen[0])["run"], seen[0].levelno) == ("another", 30)
    assert os.getpid() == seen[0].process
