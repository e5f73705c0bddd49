"""Action records: written in batches, bounded, and never in the way."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.stores import action, child, line, new_run, open_at, told
from trouper.runtime.store import _recorder
from trouper.runtime.store._errors import StoreClosed, StoreFull
from trouper.runtime.store._limits import Limits
from trouper.runtime.store._recorder import Recorder
from trouper.runtime.store._records import Claim
from trouper.runtime.store._store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_at(tmp_path) as opened:
        yield opened


def test_a_record_comes_back_as_it_was(store: Store) -> None:
    claim = store.runs.claim(new_run())
    whole = action(
        claim.execution,
        "root/process-1",
        parent="root",
        task="process",
        phase="failed",
        attempts=3,
        started=2.5,
        ended=3.5,
        error_code="ValueError",
        error="no\n\x00 ü",
        key=b"\x00k",
        output=b"",
    )
    store.recorder.record_now(whole)
    store.recorder.record_now(action(claim.execution, "root", started=1.0))
    assert store.actions.of(claim.execution) == [
        action(claim.execution, "root", started=1.0),
        whole,
    ]


def test_the_last_word_about_an_action_stands(store: Store) -> None:
    claim = store.runs.claim(new_run())
    for attempt in (1, 2):
        store.recorder.record(action(claim.execution, attempts=attempt))
    store.recorder.flush()
    assert [each.attempts for each in store.actions.of(claim.execution)] == [2]
    store.recorder.record(action(claim.execution, attempts=2, phase="completed", ended=2.0))
    store.recorder.flush()
    [found] = store.actions.of(claim.execution)
    assert (found.phase, found.attempts) == ("completed", 2)


def test_text_that_is_no_unicode_is_written_out(store: Store) -> None:
    claim = store.runs.claim(new_run(target="caf\udce9"))
    store.recorder.record_now(action(claim.execution, error="caf\udce9"))
    assert [each.error for each in store.actions.of(claim.execution)] == ["caf\\udce9"]
    with pytest.raises(TypeError, match=r"the parameters of the run 'x' can't be recorded"):
        store.runs.claim(new_run("x", labels={"a": object()}))
    with pytest.raises(TypeError, match=r"can't be recorded: .*surrogates"):
        store.runs.claim(new_run("x", labels={"a": "\udce9"}))
    assert store.runs.executions("x") == []


def test_values_of_a_configuration_that_json_does_not_know_are_shown(store: Store) -> None:
    config = {"folder": Path("a/b"), "kind": {1j}}
    store.runs.claim(new_run("x", config=config, params={"file": Path("c")}))
    record = store.runs.get("x")
    assert (record.config, record.params) == ({"folder": "a/b", "kind": ["1j"]}, {"file": "c"})


def test_a_record_of_an_execution_that_is_not_there_is_dropped(store: Store) -> None:
    claim = store.runs.claim(new_run())
    store.recorder.record(action(999))
    store.recorder.record_now(action(claim.execution))
    assert store.actions.of(999) == []
    assert len(store.actions.of(claim.execution)) == 1


def test_the_thread_writes_what_nobody_waits_for(tmp_path: Path) -> None:
    wrote = threading.Event()
    with open_at(tmp_path) as store:
        claim = store.runs.claim(new_run())
        write = store.actions.write

        class Watched:
            def __getattr__(self, name: str) -> Any:
                return getattr(store.actions, name)

            def write(self, records: Any) -> None:
                write(records)
                wrote.set()

        recorder = recorder_of(store, actions=Watched())
        recorder.record(action(claim.execution))
        assert wrote.wait(60)
        assert len(store.actions.of(claim.execution)) == 1
        recorder.close()


def test_a_flush_ends_though_others_record_all_the_time(tmp_path: Path) -> None:
    """No heart would beat meanwhile, nor a run end."""
    with open_at(tmp_path) as store:
        claim = store.runs.claim(new_run())
        write, written = store.actions.write, list[str]()

        class Busy:
            def __getattr__(self, name: str) -> Any:
                return getattr(store.actions, name)

            def write(self, records: Any) -> None:
                records = list(records)
                written.extend(each.name for each in records)
                if len(written) < 10_000:
                    for number in range(300):
                        recorder._waiting.append(action(claim.execution, f"later-{number}"))
                write(records)

        recorder = recorder_of(store, actions=Busy())
        recorder.record_now(action(claim.execution, "first"))
        assert written == ["first"]
        recorder.flush()
        assert len(written) == 301
        written.extend([""] * 10_000)
        recorder.close()


def recorder_of(store: Store, **more: Any) -> Recorder:
    """A recorder of its own for a store."""
    parts: dict[str, Any] = {
        "actions": store.actions,
        "runs": store.runs,
        "cache": store.cache,
        "limits": store.limits,
    }
    return Recorder(**parts | more)


def test_what_is_over_the_bound_is_counted_once_for_each_action(tmp_path: Path) -> None:
    with open_at(tmp_path, limits=Limits(actions=5)) as store:
        claim = store.runs.claim(new_run())
        for n in range(3):
            store.recorder.record(action(claim.execution, f"a{n}"))
        store.recorder.flush()
        for n in range(8):  # over the bound in the middle of a batch
            store.recorder.record(action(claim.execution, f"a{n}"))
        store.recorder.flush()
        for n in range(9):
            store.recorder.record(action(claim.execution, f"a{n}", phase="completed", ended=2.0))
        store.recorder.flush()
        found = store.actions.of(claim.execution)
        assert [each.name for each in found] == ["a0", "a1", "a2", "a3", "a4"]
        assert {each.phase for each in found} == {"completed"}
        assert store.runs.get("run-1").actions_left_out == 4
        store.recorder.let_go(claim)


class Refusing:
    """Takes no record for so many times."""

    def __init__(self, store: Store, times: int, error: Exception | None = None) -> None:
        self.store, self.times = store, times
        self.error = error or StoreFull("no room")
        self.taken = threading.Event()

    def write(self, records: Any) -> None:
        if self.times > 0:
            self.times -= 1
            raise self.error
        self.store.actions.write(records)
        self.taken.set()

    def forget(self, execution: int) -> None: ...


def test_what_the_disk_refuses_is_kept_and_tried_again(store: Store) -> None:
    claim = store.runs.claim(new_run())
    recorder = recorder_of(store, actions=Refusing(store, 2))
    for name in ("a", "b"):
        with pytest.raises(StoreFull, match="no room"):
            recorder.record_now(action(claim.execution, name))
    assert "no room" in str(recorder.failure)
    assert store.actions.of(claim.execution) == []
    recorder.flush()
    assert recorder.failure is None
    assert recorder.lost == 0
    assert [each.name for each in store.actions.of(claim.execution)] == ["a", "b"]


def test_the_thread_outlives_what_the_disk_refuses(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_recorder, "_AGAIN", 0.01)
    claim = store.runs.claim(new_run())
    refusing = Refusing(store, 2)
    recorder = recorder_of(store, actions=refusing)
    recorder.record(action(claim.execution))
    assert refusing.taken.wait(60)
    recorder.close()
    assert len(store.actions.of(claim.execution)) == 1


def test_what_waits_is_bounded_and_what_falls_out_is_counted(store: Store) -> None:
    claim = store.runs.claim(new_run())
    recorder = recorder_of(store, actions=Refusing(store, 4), limits=Limits(waiting_actions=3))
    for n in range(4):
        with pytest.raises(StoreFull):
            recorder.record_now(action(claim.execution, f"a{n}"))
    assert recorder.lost == 1
    recorder.close()
    assert [each.name for each in store.actions.of(claim.execution)] == ["a1", "a2", "a3"]


def test_a_close_that_can_not_write_says_so(store: Store) -> None:
    claim = store.runs.claim(new_run())
    recorder = recorder_of(store, actions=Refusing(store, 10**9))
    recorder.record(action(claim.execution))
    with pytest.raises(StoreFull):
        recorder.close()


def test_after_the_close_nothing_is_taken(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    claim = store.runs.claim(new_run())
    store.recorder.record(action(claim.execution))
    store.close()
    with pytest.raises(StoreClosed, match="the store was closed; open it again"):
        store.recorder.record(action(claim.execution))
    store.close()


def test_a_fault_does_not_stop_the_thread(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_recorder, "_AGAIN", 0.01)
    claim = store.runs.claim(new_run())
    faulty = Refusing(store, 1, AttributeError("ours"))
    recorder = recorder_of(store, actions=faulty)
    recorder.record(action(claim.execution))
    assert faulty.taken.wait(60)
    recorder.close()
    assert "records of actions can't be written; they are kept for now" in caplog.text
    assert len(store.actions.of(claim.execution)) == 1


class Beats:
    """Runs that answer heartbeats from a list; an exception is raised."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.done = threading.Event()

    def beat(self, claim: Claim) -> bool:
        if not self.answers:
            self.done.set()
            return False
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_held_claim_is_beaten_for_and_its_abort_told_once(store: Store) -> None:
    heard: list[str] = []
    beats = Beats(False, StoreFull("later"), True, True)
    recorder = recorder_of(store, runs=beats, beat_every=0.001)
    claim = store.runs.claim(new_run())
    recorder.hold(claim, on_abort=lambda: heard.append("abort"))
    assert beats.done.wait(60)
    recorder.let_go(claim)
    recorder.close()
    assert heard == ["abort"]


def test_the_loss_of_a_claim_is_told_and_it_is_let_go(store: Store) -> None:
    lost = threading.Event()
    claim = store.runs.claim(new_run())
    store.runs.finish(claim, "failed")
    recorder = recorder_of(store, beat_every=0.001)
    recorder.hold(claim, on_lost=lost.set)
    assert lost.wait(60)
    recorder.close()


def test_an_event_that_fails_does_not_stop_the_heart(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    beats = Beats(True, False)

    def fail() -> None:
        raise ValueError("mine")

    recorder = recorder_of(store, runs=beats, beat_every=0.001)
    claim = store.runs.claim(new_run())
    recorder.hold(claim, on_abort=fail)
    assert beats.done.wait(60)
    recorder.close()
    assert "the abort or loss of the run 'run-1' could not be told" in caplog.text


def test_a_beat_reaches_the_record(store: Store) -> None:
    claim = store.start(new_run())
    store.runs.request_abort("run-1")
    heard = threading.Event()
    recorder = recorder_of(store, beat_every=0.001)
    recorder.hold(claim, on_abort=heard.set)
    assert heard.wait(60)
    recorder.close()


AT_EXIT = """
store = open_store(root)
claim = store.start(NewRun(name="run-1", target="t"))
store.recorder.record(ActionRecord(execution=claim.execution, name="root", started=0.0))
say("no close")
"""


def test_the_last_records_of_a_process_that_does_not_close_are_written(tmp_path: Path) -> None:
    with child(AT_EXIT, tmp_path) as process:
        assert told(process) == ["no close"]
    with open_at(tmp_path) as store:
        record = store.runs.get("run-1")
        assert record.is_lost
        assert [each.name for each in store.actions.of(record.execution)] == ["root"]


FILL = """
store = open_store(root, max_bytes=1 << 20)
claim = store.start(NewRun(name="run-1", target="t"))
say("started")
kept = 0
try:
    for n in range(1000):
        store.results.set(claim, f"key-{n}", "x" * 5000)
        kept += 1
except errors.StoreFull as error:
    say(error)
say(kept)
store.runs.finish(claim, "failed", error="full")
say(store.runs.get("run-1").phase)
store.close()
"""


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    with child(FILL, tmp_path) as process:
        assert line(process) == "started"
        problem, kept, phase = told(process)
    assert "is full; free some space on the disk" in problem
    assert 50 < int(kept) < 1000
    assert phase == "failed"
    with open_at(tmp_path) as store:
        record = store.runs.get("run-1")
        assert (record.phase, record.error) == ("failed", "full")
        assert len(store.results.all(record.run)) == int(kept)
        assert store.connections.get().pragma("integrity_check") == "ok"


FILE_LIMIT = """
import resource
store = open_store(root)
claim = store.start(NewRun(name="run-1", target="t"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
kept = 0
try:
    for n in range(10_000):
        store.results.set(claim, f"key-{n}", "x" * 5000)
        kept += 1
except errors.StoreError as error:
    say(error)
say(kept)
os._exit(0)
"""


def test_a_write_that_the_system_refuses_loses_nothing_before_it(tmp_path: Path) -> None:
    with child(FILE_LIMIT, tmp_path) as process:
        problem, kept = told(process)
    assert "could not be written" in problem
    with open_at(tmp_path) as store:
        assert len(store.results.all(store.runs.get("run-1").run)) == int(kept) > 0
        assert store.connections.get().pragma("integrity_check") == "ok"
