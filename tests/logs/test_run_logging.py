"""`log_level`, `log_format` and `reset_root_logger`: whose a record is, and where it goes."""

import json
import logging
import sys
import threading
from typing import Any

import pytest

import trouper
from harness.logs import Kept, root_logger, stamp_on, state_of

env = trouper.TaskEnvironment("logging")
log = logging.getLogger("program.part")


@env.task
async def says(level: int = logging.WARNING, text: str = "said") -> None:
    log.log(level, text)


@env.task
def says_in_a_thread() -> None:
    log.warning("said in a thread")


@env.task(retries=1)
async def says_again() -> None:
    log.warning("tried")
    if len(tried) < 1:
        tried.append(1)
        raise OSError("once more")


tried: list[int] = []


@env.task
async def all_three() -> None:
    tried.clear()
    log.warning("begin")
    await says()
    await says_in_a_thread.aio()
    await says_again()


def stamps(lines: Any) -> list[tuple[str, str, str, int]]:
    return [(each.message, each.action, each.actor, each.attempt) for each in lines]


# -- whose it is ----------------------------------------------------------------------------------


def test_every_record_carries_run_action_actor_and_attempt() -> None:
    """Also of threads and later attempts, and for the program's own handlers."""
    kept = Kept()
    with root_logger(kept):
        run = trouper.with_runcontext(name="stamped").run(all_three)
        log.warning("outside")
    assert stamps(each for each in run.logs() if each.logger == log.name) == [
        ("begin", "all_three", "all_three", 1),
        ("said", "all_three/says-1", "says", 1),
        ("said in a thread", "all_three/says_in_a_thread-1", "says_in_a_thread", 1),
        ("tried", "all_three/says_again-1", "says_again", 1),
        ("tried", "all_three/says_again-1", "says_again", 2),
    ]
    assert {each.run for each in run.logs()} == {"stamped"}
    *inside, outside = kept.records
    assert [(each.getMessage(), *stamp_on(each)[1:]) for each in inside] == stamps(run.logs())
    assert {stamp_on(each)[0] for each in inside} == {"stamped"}
    assert not hasattr(outside, "run")


def test_what_the_runtime_says_is_a_record_of_the_run() -> None:
    with root_logger():
        run = trouper.with_runcontext(name="retried").run(all_three)
    (told,) = (each for each in run.logs() if each.logger == "trouper")
    assert (told.run, told.level) == ("retried", "WARNING")
    assert "all_three/says_again-1 failed (attempt 1)" in told.message


def test_records_of_actors_carry_the_attempt_at_their_message() -> None:
    crashed: list[int] = []
    calls: list[int] = []

    async def source() -> Any:
        log.warning("made")
        yield 7

    async def reader(ctx: trouper.ActorContext) -> Any:
        async for message in ctx:
            yield message
            log.warning("got %s", message)
            if not crashed:
                crashed.append(message)
                raise OSError("crash")

    async def batch() -> int:
        log.warning("batch")
        calls.append(1)
        if len(calls) < 2:
            raise OSError("again")
        return 1

    wf = trouper.Workflow("graph")
    wf.add(source)
    wf.add(reader, depends_on="source", restart="transient")
    wf.add(batch, restart="transient")
    with root_logger():
        run = trouper.with_runcontext(name="graph").run(wf)
    own = [each for each in run.logs() if each.logger == log.name]
    assert sorted(stamps(own)) == [
        ("batch", "batch", "batch", 1),
        ("batch", "batch", "batch", 2),
        ("got 7", "reader", "reader", 1),
        ("got 7", "reader", "reader", 2),
        ("made", "source", "source", 1),
    ]
    assert any(each.logger == "trouper" and each.run == "graph" for each in run.logs())


def test_a_program_may_format_the_fields_and_use_their_names_itself() -> None:
    """`extra=` with the name of a field is no error, and wins in the program's own handlers."""

    @env.task
    async def extra() -> None:
        log.warning("third", extra={"attempt": 3, "size": {1}})

    kept = Kept()
    kept.setFormatter(logging.Formatter("%(run)s %(action)s %(actor)s %(attempt)s %(message)s"))
    with root_logger(kept):
        run = trouper.with_runcontext(name="fields").run(extra)
    assert [kept.format(each) for each in kept.records] == ["fields extra extra 3 third"]
    (line,) = run.logs()
    assert (line.attempt, line.extra) == (1, {"attempt": 3, "size": [1]})


def test_a_run_in_a_run_has_records_of_its_own() -> None:
    inner: list[Any] = []

    @env.task
    async def outer() -> None:
        log.warning("before")
        inner.append(await trouper.with_runcontext(name="inner").run.aio(says))
        log.warning("after")

    with root_logger():
        run = trouper.with_runcontext(name="outer").run(outer)
    assert [(each.run, each.message) for each in run.logs()] == [
        ("outer", "before"),
        ("outer", "after"),
    ]
    assert [(each.run, each.message) for each in inner[0].logs()] == [("inner", "said")]


# -- level and format -----------------------------------------------------------------------------


@env.task
async def two_levels() -> None:
    log.debug("low")
    log.warning("high")


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (None, ["high"]),
        (logging.DEBUG, ["low", "high"]),
        (logging.WARNING, ["high"]),
        (logging.ERROR, []),
    ],
)
def test_log_level_is_the_level_of_the_root_logger_for_the_run(
    level: int | None, expected: list[str]
) -> None:
    kept = Kept()
    with root_logger(kept):
        run = trouper.with_runcontext(log_level=level).run(two_levels)
        log.debug("outside")
    assert [each.message for each in run.logs()] == expected
    assert kept.messages() == expected


def test_records_outside_of_the_run_stay_as_they_were_while_it_goes_on() -> None:
    """A lowered level lets them pass; they must not be seen for that (also by a logger's own)."""
    kept, own, audit = Kept(), Kept(), logging.getLogger("program.audit")
    audit.addHandler(own)
    audit.setLevel(logging.DEBUG)

    @env.task
    def beside() -> None:
        thread = threading.Thread(target=outside)
        thread.start()
        thread.join()

    def outside() -> None:
        log.debug("low outside")
        logging.getLogger("trouper.any").debug("low of ours")
        log.warning("high outside")
        audit.debug("audited")

    try:
        with root_logger(kept):
            run = trouper.with_runcontext(log_level=logging.DEBUG).run(beside)
    finally:
        audit.removeHandler(own)
        audit.setLevel(logging.NOTSET)
    assert run.logs() == ()
    assert kept.messages() == ["high outside", "audited"]
    assert own.messages() == ["audited"]


def test_a_logger_with_a_level_of_its_own_keeps_it() -> None:
    quiet = logging.getLogger("program.quiet")

    @env.task
    async def both() -> None:
        quiet.warning("quiet")
        log.debug("low")

    quiet.setLevel(logging.ERROR)
    try:
        with root_logger():
            run = trouper.with_runcontext(log_level=logging.DEBUG).run(both)
    finally:
        quiet.setLevel(logging.NOTSET)
    assert [each.message for each in run.logs()] == ["low"]


def test_console_is_the_default_format(capsys: pytest.CaptureFixture[str]) -> None:
    with root_logger():
        trouper.with_runcontext(name="shown").run(says_again_once)
    lines = capsys.readouterr().err.splitlines()
    assert [each.split(" ", 1)[1] for each in lines if "failed" not in each] == [
        "WARNING shown says_again_once: plain",
        "WARNING shown says_again_once #2: plain",
    ]


@env.task(retries=1)
async def says_again_once() -> None:
    log.warning("plain")
    context = trouper.ctx()
    assert context is not None
    if context.call.attempts == 1:  # type: ignore[attr-defined]  # as it is of a task that is called
        raise OSError("again")


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    @env.task
    async def logs_a_failure() -> None:
        try:
            raise OSError("broken\nin two")
        except OSError:
            log.exception("it failed", extra={"path": b"x"})

    with root_logger():
        trouper.with_runcontext(name="j", log_format="json").run(logs_a_failure)
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert line.pop("time").endswith("Z")
    assert "OSError: broken\nin two" in line.pop("exception")
    assert line == {
        "level": "ERROR",
        "logger": "program.part",
        "message": "it failed",
        "run": "j",
        "action": "logs_a_failure",
        "actor": "logs_a_failure",
        "attempt": 1,
        "extra": {"path": "eA=="},
    }


def test_a_program_that_set_up_logging_keeps_its_own_unless_it_asks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a run prints is not printed once more by the program; its other handlers go on."""
    terminal, kept = logging.StreamHandler(sys.stderr), Kept()
    terminal.setFormatter(logging.Formatter("own: %(message)s"))
    with root_logger(terminal, kept):
        before = state_of(logging.getLogger())
        trouper.with_runcontext().run(says)
        assert capsys.readouterr().err == "own: said\n"
        trouper.with_runcontext(name="asked", log_format="console").run(says)
        assert capsys.readouterr().err.endswith("WARNING asked says: said\n")
        log.warning("outside")
        assert capsys.readouterr().err == "own: outside\n"
        assert state_of(logging.getLogger()) == before
    assert kept.messages() == ["said", "said", "outside"]


def test_text_can_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with root_logger():
        trouper.with_runcontext(name="e").run(says, text="\x1b[2J\nsecond")
    assert capsys.readouterr().err.endswith("says: \\x1b[2J\nsecond\n")
