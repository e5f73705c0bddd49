"""`log_level`, `log_format` and `reset_root_logger`: whose a record is, and where it goes."""

import json
import logging
import sys
import threading
from typing import Any

import pytest
import trio

import trouper
from harness.logs import Kept, root_logger, state_of
from trouper.errors import RuntimeUserError

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
async def fails() -> None:
    raise OSError("broken")


@env.task
async def all_three() -> None:
    tried.clear()
    log.warning("begin")
    await says()
    await says_in_a_thread.aio()
    await says_again()


def stamp_on(record: Any) -> tuple[str, str, str, int]:
    """Return what a record carries, as a program's own handler reads it."""
    return (record.run, record.action, record.actor, record.attempt)


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


# -- undone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("preserve", [True, False])
def test_all_is_undone_after_a_run_that_failed(preserve: bool) -> None:
    loggers = [logging.getLogger(), logging.getLogger("trouper")]
    with root_logger(Kept()):
        before = [state_of(each) for each in loggers]
        factory = logging.getLogRecordFactory()
        runner = trouper.with_runcontext(log_level=1, reset_root_logger=preserve)
        with pytest.raises(RuntimeUserError):
            runner.run(fails)
        assert [state_of(each) for each in loggers] == before
        assert logging.getLogRecordFactory() is factory


def test_reset_root_logger_true_preserves_the_root_logger() -> None:
    """F43: the page wins. The level and format hold for what trouper says itself."""
    seen: list[Any] = []

    @env.task
    async def looks() -> None:
        seen.append(state_of(logging.getLogger()))
        log.debug("low")
        logging.getLogger("trouper").debug("low of ours")

    kept = Kept()
    with root_logger(kept):
        before = state_of(logging.getLogger())
        preserved = trouper.with_runcontext(log_level=10, reset_root_logger=True).run(looks)
        changed = trouper.with_runcontext(log_level=10, reset_root_logger=False).run(looks)
    assert seen[0] == before
    assert seen[1] != before
    assert [each.message for each in preserved.logs()] == ["low of ours"]
    assert [each.message for each in changed.logs()] == ["low", "low of ours"]
    # Stamped all the same.
    assert stamp_on(kept.records[0])[0] == preserved.name


def test_a_level_that_the_program_sets_meanwhile_stays() -> None:
    @env.task
    async def sets() -> None:
        logging.getLogger().setLevel(logging.CRITICAL)

    with root_logger(Kept()):
        trouper.with_runcontext(log_level=10).run(sets)
        assert logging.getLogger().level == logging.CRITICAL


def test_a_factory_of_records_of_the_program_goes_on() -> None:
    class Own(logging.LogRecord):
        own = "of the program"

    kept, before = Kept(), logging.getLogRecordFactory()
    logging.setLogRecordFactory(Own)
    try:
        with root_logger(kept):
            trouper.with_runcontext(name="r").run(says)
        assert logging.getLogRecordFactory() is Own
    finally:
        logging.setLogRecordFactory(before)
    (record,) = kept.records
    assert isinstance(record, Own)
    assert (record.own, stamp_on(record)[0]) == ("of the program", "r")


def test_a_factory_that_is_set_during_a_run_stays() -> None:
    wrapped = before = logging.getLogRecordFactory()

    def make(*args: Any, **named: Any) -> logging.LogRecord:
        return wrapped(*args, **named)

    @env.task
    async def sets_a_factory() -> None:
        nonlocal wrapped
        wrapped = logging.getLogRecordFactory()
        logging.setLogRecordFactory(make)

    kept = Kept()
    try:
        with root_logger(kept):
            trouper.with_runcontext().run(sets_a_factory)
            assert logging.getLogRecordFactory() is make
            log.warning("outside")
            trouper.with_runcontext(name="later").run(says)
    finally:
        logging.setLogRecordFactory(before)
    outside, later = kept.records
    assert not hasattr(outside, "run")
    assert stamp_on(later)[0] == "later"


# -- several at the same time ---------------------------------------------------------------------


def test_runs_at_the_same_time_have_each_its_own_level_and_format(
    capsys: pytest.CaptureFixture[str],
) -> None:
    together = threading.Barrier(3)

    @env.task
    def talks() -> None:
        together.wait(60)
        log.debug("low")
        log.error("high")
        together.wait(60)

    runs: dict[str, Any] = {}

    def go(name: str, level: int, form: Any, preserve: bool) -> None:
        runner = trouper.with_runcontext(
            name=name, log_level=level, log_format=form, reset_root_logger=preserve
        )
        runs[name] = runner.run(talks)

    with root_logger():
        threads = [
            threading.Thread(target=go, args=each)
            for each in (
                ("low", logging.DEBUG, "console", False),
                ("high", logging.ERROR, "json", False),
                ("kept", logging.DEBUG, "json", True),
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    messages = {name: [each.message for each in run.logs()] for name, run in runs.items()}
    assert messages == {"low": ["low", "high"], "high": ["high"], "kept": []}
    printed = capsys.readouterr().err.splitlines()
    assert sorted(each.split(" ", 1)[1] for each in printed if not each.startswith("{")) == [
        "DEBUG low talks: low",
        "ERROR low talks: high",
    ]
    assert [json.loads(each)["run"] for each in printed if each.startswith("{")] == ["high"]


async def test_runs_side_by_side_in_one_loop_have_each_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first_has_begun, second_has_ended = trio.Event(), trio.Event()

    @env.task
    async def first() -> None:
        first_has_begun.set()
        await second_has_ended.wait()
        log.info("first")

    with root_logger():
        async with trouper.with_runcontext(name="a", log_level=logging.INFO).open(first) as run:
            await first_has_begun.wait()
            other = await trouper.with_runcontext(name="b").run.aio(says, logging.INFO)
            second_has_ended.set()
    assert [each.message for each in run.logs()] == ["first"]
    assert other.logs() == ()
    assert [each.split(" ", 1)[1] for each in capsys.readouterr().err.splitlines()] == [
        "INFO a first: first"
    ]
