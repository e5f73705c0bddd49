"""One execution that is being recorded: who holds it, and what becomes of its actions.

Rule 1: what people look at goes into the database in batches, behind the back of those who run.
Rule 2: what a recovery needs is in the journal before the next statement runs.
Rule 3: a disk that takes no more ends the execution as failed; what was written stays.
"""

import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from attrs import define, field

from ...actors._secret import mask_text
from ..assets._run_assets import RunAssets, assets_of_key
from ..store._errors import StoreError
from ..store._recorder import Recorder
from ..store._records import ActionRecord, Claim, Ended, NewRun
from ..store._store import Store
from ..store._verbs import Verb
from ._actions_file import ActionsFile
from ._attached import hold_workspace, let_workspace_go
from ._journal import KEPT, Journal, Story, continue_journal, earlier_journals, journal_at
from ._names import key_of_run
from ._run_file import Over, ResultsFile, refuse_unknown, tell_run
from ._workspace import Workspace

KEY = "tracked"
"""Where `RunContext.kept` has it."""
_MOST_DIRTY = 200_000
"""Actions that wait to be recorded while the database takes none; the oldest fall out."""


class Recordable(Protocol):
    """What can say how it stands."""

    is_noted: bool
    """Whether it waits to be asked."""

    def as_record(self, execution: int) -> ActionRecord: ...


def _nothing() -> None: ...


def _not_told(_failure: StoreError) -> None: ...


@define(eq=False)
class Tracked:
    """Recorded from its making to `finish`. Any thread may call any method."""

    workspace: Workspace
    claim: Claim
    journal: Journal
    story: Story | None
    """What an execution before this one has done, if that is recovered."""
    target: str = ""
    """Name of the workflow or task, as it is recorded."""
    on_failure: Callable[[StoreError], None] = _not_told
    """Called once, from any thread, when the disk takes no more."""
    on_abort: Callable[[], None] = _nothing
    """Called once, from another thread, when an abort is asked for."""
    look: Callable[[int], Iterable[ActionRecord]] | None = None
    """Gives records of what nobody notes one by one, as the nodes of a graph."""
    failure: StoreError | None = None
    """Why nothing more is recorded."""
    is_told: bool = False
    """Whether `run.json` says that it goes on: of a short run it is written at the end alone."""
    store: Store = field(init=False)
    assets: RunAssets = field(init=False)
    """Its artifacts, logs and checkpoints: what `ctx.artifact` and the others are."""
    _recorder: Recorder = field(init=False)
    _telling: threading.Lock = field(factory=threading.Lock, init=False)
    _results: ResultsFile = field(init=False)
    _actions: ActionsFile = field(init=False)
    _dirty: deque[Recordable] = field(factory=deque[Recordable], init=False)

    def __attrs_post_init__(self) -> None:
        self.store = self.workspace.store
        self.assets = assets_of_key(self.store, self.claim.key, self.claim.number)
        self._results = ResultsFile(self.assets.shelf.path)
        self._actions = ActionsFile(self.assets.shelf.path, self.claim.number)
        self._recorder = self.store.recorder
        self._recorder.hold(
            self.claim,
            on_abort=lambda: self.on_abort(),
            on_lost=self._lost,
            collect=self._collect,
            on_failure=self.fail,
            on_written=self._actions.add,
        )

    def note(self, action: Recordable) -> None:
        """Have it recorded how an action stands, soon."""
        if action.is_noted:
            return  # it will be asked, and then say this too
        if len(self._dirty) >= _MOST_DIRTY:
            self._dirty.popleft().is_noted = False
        action.is_noted = True
        self._dirty.append(action)
        if not self._recorder.is_awake:
            self._recorder.rouse()

    def name_target(self, target: str) -> None:
        """Say what is run, if that was not known when the execution began.

        Raises:
            StoreError: it can't be written.
        """
        if target != self.target:
            self.target = target
            self.store.runs.name_target(self.claim, target)
            self.is_told = False
            self._recorder.rouse()

    def tell(self, *, is_over: bool = False) -> None:
        """Write how it stands into the run's folder, at the end with its actions.

        Raises:
            StoreError: it can't be written.
        """
        with self._telling:
            self.is_told = True
            of = (self.claim.execution, self.claim.number)
            ended = Over(*of, self._actions.is_whole) if is_over else None
            known = 0 if is_over else self._results.known()  # before the database is read
            folder = self.assets.shelf.path
            tell_run(self.store, self.claim.key, folder, known=known, ended=ended)

    def _tell_soon(self) -> None:
        """Do so from the recorder's thread, if that was not done yet."""
        if not self.is_told:
            try:
                self.tell()
            except StoreError as failure:
                self.fail(failure)

    def set_result(self, key: str, value: Any) -> None:
        """Record a value of the result map; it is on disk when this returns.

        Raises:
            TypeError: the key is no str, or the value is no plain data.
            StoreError: it can't be recorded.
        """
        self._results.append(key, *self.store.results.set(self.claim, key, value))

    def fail(self, failure: StoreError) -> None:
        """Note that the disk takes no more."""
        if self.failure is None:
            self.failure = failure
            self.on_failure(failure)

    def _lost(self) -> None:
        try:
            self.store.runs.beat(self.claim)
        except StoreError as failure:
            self.fail(failure)

    def _collect(self) -> Iterator[ActionRecord]:
        self._tell_soon()
        dirty, execution = self._dirty, self.claim.execution
        # As many as there are now: others are noted meanwhile, and it may never end.
        for _ in range(len(dirty)):
            try:
                action = dirty.popleft()
            except IndexError:  # the oldest have fallen out
                break
            # First this: what becomes of it from here on is noted anew.
            action.is_noted = False
            yield action.as_record(execution)
        if self.look is not None:
            yield from self.look(execution)

    def finish(
        self,
        phase: Ended,
        *,
        outputs: bytes | None = None,
        error: BaseException | None = None,
        task: str | None = None,
    ) -> StoreError | None:
        """Record the end, and let everything go; return why it could not be recorded, if so.

        Args:
            task: name of the action that `error` left.
        """
        failure: StoreError | None = self.failure or self._keep_end(phase, outputs, error, task)
        self.is_told = True  # by the end
        try:
            self._recorder.flush()
        except StoreError as problem:
            failure = failure or problem
        if failure is not None:
            phase, error = "failed", error or failure
        told: Ended | None = None
        try:
            self._finish(phase, outputs, error)
            self._results.close()
            self.tell(is_over=True)
            told = phase
        except StoreError as problem:
            failure = failure or problem
        finally:
            self._let_go(told)
        return failure

    def _keep_end(
        self, phase: Ended, outputs: bytes | None, error: BaseException | None, task: str | None
    ) -> StoreError | None:
        """Keep the end in the run's folder too, if it has one; return why it could not be."""
        return self.assets.finish(
            phase,
            outputs=outputs,
            error=None if error is None else mask_text(f"{type(error).__name__}: {error}"),
            trace=_trace_of(error),
            task=task,
        )

    def _finish(self, phase: Ended, outputs: bytes | None, error: BaseException | None) -> None:
        code = None if error is None else getattr(error, "code", None) or type(error).__name__
        self.store.runs.finish(
            self.claim,
            phase,
            outputs=outputs,
            error_code=code,
            error=None if error is None else mask_text(str(error)),
            trace=None if error is None else _trace_of(error),
        )

    def _let_go(self, told: Ended | None) -> None:
        """Let everything go. `told`: how it ended, if the run's folder tells that."""
        self._results.close()
        self._recorder.let_go(self.claim)
        self._actions.close()
        if told == "completed":
            self.workspace.blank_journals.take_back(self.journal)
        elif told is not None:
            self.journal.keep_in(self.assets.shelf.path)
        else:  # where it lies it says so
            self.journal.close()
        with suppress(StoreError):  # it was told already
            let_workspace_go(self.workspace)


def _trace_of(error: BaseException | None) -> str:
    return "" if error is None else mask_text("".join(traceback.format_exception(error)))


def track(
    workspace: Workspace, new: NewRun, *, verb: Verb = "again", is_recovery: bool = False
) -> Tracked:
    """Claim a run and begin to record an execution of it.

    Args:
        workspace: it is held until `Tracked.finish`.
        verb: says which runs may be begun so.
        is_recovery: use what the execution before has finished.

    Raises:
        StoreError: the workspace can't be written, or the run goes on; nothing is claimed then.
        NotTheSame: in its folder lies a run that the database does not know.
    """
    hold_workspace(workspace)
    try:
        folder = workspace.path / key_of_run(new.key)
        refuse_unknown(workspace.store, new.key, folder)
        claim = workspace.store.runs.claim(new, verb)
        try:
            journal, story = _open_journal(workspace, claim, folder, is_recovery=is_recovery)
            return Tracked(workspace, claim, journal, story, new.target)
        except BaseException as error:
            code = type(error).__name__
            workspace.store.runs.finish(claim, "failed", error_code=code, error=str(error))
            raise
    except BaseException:
        with suppress(StoreError):
            let_workspace_go(workspace)
        raise


def _open_journal(
    workspace: Workspace, claim: Claim, folder: Path, *, is_recovery: bool
) -> tuple[Journal, Story | None]:
    # Most runs are new: whether there are journals of others is nothing to them.
    if claim.number > 1:
        root = workspace.path
        kept = folder / KEPT
        earlier = [*([kept] if os.path.exists(kept) else ()), *earlier_journals(root, claim.run)]
        if is_recovery and earlier:
            return continue_journal(earlier[-1], journal_at(root, claim.run, claim.execution))
        for path in earlier:  # the run begins anew: nobody will recover what was before
            path.unlink(missing_ok=True)
    return workspace.blank_journals.make(claim.run, claim.execution), None
