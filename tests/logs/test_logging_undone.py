"""What runs change of logging is undone at their end; each of several at once has its own."""

import json
import logging
import threading
from typing import Any

import pytest
import trio

import trouper
from harness.command import PATIENCE
from harness.logs import Kept, root_logger, stamp_on, state_of
from trouper.errors import RuntimeUserError

env = trouper.TaskEnvironment("undone")
log = logging.getLogger("program.part")


@env.task
async def says(level: int = logging.WARNING, text: str = "said") -> None:
    log.log(level, text)


@env.task
async def fails() -> None:
    raise OSError("broken")


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
        together.wait(PATIENCE)
        log.debug("low")
        log.error("high")
        together.wait(PATIENCE)

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
