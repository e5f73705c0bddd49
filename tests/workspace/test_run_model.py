"""Whatever is done to runs, in whatever order, their phases are those of a simple model (F21)."""

import tempfile
from contextlib import ExitStack
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import trouper
from trouper.errors import RunNameTaken, WrongPhase

NAMES = st.sampled_from(["a", "b"])
VERBS = st.sampled_from(["start", "resume", "rerun"])
TAKES = {
    "start": {"pending"},
    "resume": {"failed", "cancelled"},
    "rerun": {"completed", "failed", "cancelled"},
}
ENDS: dict[str, BaseException | None] = {
    "completed": None,
    "failed": ValueError("no"),
    "cancelled": KeyboardInterrupt(),
}


class RunsBesideTheirModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        root = self.stack.enter_context(tempfile.TemporaryDirectory())
        # Two objects, as in two programs: neither knows what the other has open.
        self.spaces = [self.stack.enter_context(trouper.Workspace(f"{root}/ws")) for _ in range(2)]
        self.phases = dict.fromkeys("ab", "pending")
        self.ended: dict[str, list[str]] = {"a": [], "b": []}
        self.results: dict[str, dict[str, Any]] = {"a": {}, "b": {}}
        self.open: dict[str, Any] = {}

    def run_in(self, space: int, name: str) -> trouper.Run:
        return self.spaces[space].project("p").experiment("e").run(id=name)

    @rule(name=NAMES, verb=VERBS, space=st.integers(0, 1))
    def begin(self, name: str, verb: str, space: int) -> None:
        start = getattr(self.run_in(space, name), verb)()
        try:
            start.begin()
        except RunNameTaken:
            assert name in self.open
        except WrongPhase:
            assert name not in self.open
            assert self.phases[name] not in TAKES[verb]
        else:
            assert name not in self.open
            assert self.phases[name] in TAKES[verb]
            assert start.context.results == self.results[name]
            self.open[name], self.phases[name] = start, "running"

    @rule(name=NAMES, key=st.sampled_from("xyz"), value=st.integers(0, 9))
    def set_result(self, name: str, key: str, value: int) -> None:
        if name in self.open:
            self.open[name].context.results[key] = value
            self.results[name][key] = value

    @rule(name=NAMES, how=st.sampled_from(sorted(ENDS)))
    def end(self, name: str, how: str) -> None:
        if name in self.open:
            assert self.open.pop(name).finish(ENDS[how]) is None
            self.phases[name] = how
            self.ended[name].append(how)

    @rule(space=st.integers(0, 1))
    def close(self, space: int) -> None:
        if not any(start.run.workspace is self.spaces[space] for start in self.open.values()):
            self.spaces[space].close()  # opened again when it is needed

    @invariant()
    def both_tell_what_the_model_says(self) -> None:
        for space in range(2):
            for name, phase in self.phases.items():
                run = self.run_in(space, name)
                assert run.phase == phase
                assert run.results == self.results[name]
                going = ["running"] if name in self.open else []
                assert [each.phase for each in run.executions()] == self.ended[name] + going
                assert [each.number for each in run.executions()] == [
                    *range(1, len(self.ended[name]) + len(going) + 1)
                ]

    def teardown(self) -> None:
        for start in self.open.values():
            start.finish(None)
        self.stack.close()


RunsBesideTheirModel.TestCase.settings = settings(
    max_examples=20, stateful_step_count=15, deadline=None
)
TestRunsBesideTheirModel = RunsBesideTheirModel.TestCase
