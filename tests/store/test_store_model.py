"""Any order of claims, ends, deaths and results gives what a plain dict would hold."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from harness.stores import new_run, open_at
from trouper.runtime.store._errors import ClaimLost, RunNameTaken
from trouper.runtime.store._records import Claim, Ended

NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


class RunsAreWhatWasDoneToThem(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = open_at(Path(self.folder.name))
        self.phases: dict[str, list[str]] = {}
        self.results: dict[str, dict[str, Any]] = {}
        self.live: dict[str, Claim] = {}
        self.ended: list[Claim] = []

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(name=NAMES)
    def claim(self, name: str) -> None:
        try:
            claim = self.store.runs.claim(new_run(name))
        except RunNameTaken:
            assert name in self.live
            return
        assert name not in self.live
        self.live[name] = claim
        self.phases.setdefault(name, []).append("running")
        assert claim.number == len(self.phases[name])

    @precondition(lambda self: self.live)
    @rule(data=st.data(), phase=st.sampled_from(["completed", "failed", "cancelled"]))
    def finish(self, data: st.DataObject, phase: Ended) -> None:
        name = data.draw(st.sampled_from(sorted(self.live)))
        claim = self.live.pop(name)
        self.store.runs.finish(claim, phase)
        self.phases[name][-1] = phase
        self.ended.append(claim)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        """The process is gone, and its id is another's: what `kill -9` leaves."""
        name = data.draw(st.sampled_from(sorted(self.live)))
        claim = self.live.pop(name)
        with self.store.connections.writing() as db:
            db.execute("UPDATE execution SET born = 'never' WHERE id = ?", (claim.execution,))
        self.phases[name][-1] = "failed"

    @precondition(lambda self: self.live)
    @rule(data=st.data(), key=st.text(min_size=1, max_size=3), value=VALUES)
    def set_result(self, data: st.DataObject, key: str, value: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.live)))
        self.store.results.set(self.live[name], key, value)
        self.results.setdefault(name, {})[key] = value

    @precondition(lambda self: self.ended)
    @rule()
    def come_late(self) -> None:
        try:
            self.store.results.set(self.ended[-1], "late", 1)
        except ClaimLost:
            return
        raise AssertionError("an execution that had ended could write")

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = open_at(Path(self.folder.name))

    @invariant()
    def the_store_tells_the_same(self) -> None:
        told = {
            name: [each.phase for each in self.store.runs.executions(name)] for name in self.phases
        }
        assert told == self.phases
        assert sorted(each.name for each in self.store.runs.query()) == sorted(self.phases)
        for name in self.phases:
            run = self.store.runs.get(name).run
            assert self.store.results.all(run) == self.results.get(name, {})


TestRuns = RunsAreWhatWasDoneToThem.TestCase
TestRuns.settings = settings(max_examples=25, stateful_step_count=20)
