"""What `ctx.artifact`, `ctx.log` and the others of one execution are: its part in the workspace."""

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from attrs import define, field

from ...actors._assets import KEY as KEY
from ...actors._task_context import TaskContext
from ..io._location import Location
from ..store._errors import StoreError
from ..store._records import RunKey
from ..store._store import Store
from ..workspace._names import key_of_run
from ._artifacts import Artifacts, note_use
from ._checkpoints import Checkpoints, keep_checkpoint, newest_of_task
from ._contents import Contents, contents_of
from ._data_assets import DataAssets, data_assets_in
from ._errors import AssetError
from ._logs import Log
from ._producing import Producing, set_active_task, task_of
from ._records import Asset, CheckpointAsset, ErrorTraceAsset
from ._scope import Scope, chain, key_of, upwards
from ._shelf import Shelf, manifest_size, shelf_at

_log = logging.getLogger("trouper")

Context = TaskContext[Any, Any, Any] | None


@define(eq=False)
class RunAssets:
    """The assets of a run, for one execution of it. Any thread may use it."""

    store: Store
    key: str
    """The run's folder, relative to the workspace."""
    producing: Producing
    keeps_every_end: bool = field(default=True, init=False)
    """Whether outputs and state are kept as assets also where nothing else was."""
    shelf: Shelf = field(init=False)
    logs: dict[str, Log] = field(factory=dict[str, Log], init=False)
    """By name: one for all who ask."""
    _has_error: bool = field(default=False, init=False)
    """Whether the trace of its failure is kept already."""

    def __attrs_post_init__(self) -> None:
        self.shelf = shelf_at(self.store, self.key)

    def keep_data_in(self, folder: Location | None) -> None:
        """Have the content of artifacts and checkpoints go there; None: into the run's folder."""
        is_local = folder is not None and folder.is_local
        self.shelf.home = folder.path if folder is not None and is_local else self.shelf.root
        self.shelf.bucket = None if is_local else folder

    # -- what the contexts of tasks ask for ---------------------------------------------------

    def artifact(self, context: Context) -> Artifacts:
        return Artifacts(self.shelf, self.producing, context)

    def log(self, name: str, context: Context) -> Log:
        fresh = Log(self.shelf, name, self.producing, context)
        # Two threads may come here at once; one of the two is kept.
        return self.logs.setdefault(name, fresh)

    def data_assets(self, context: Context) -> DataAssets:
        return data_assets_in(self.shelf, self.producing, context)

    def checkpoint(self, name: str, data: Any, context: Context) -> CheckpointAsset:
        return keep_checkpoint(self.shelf, name, data, self.producing.producer(context))

    def checkpoints(self, name: str) -> Checkpoints:
        return Checkpoints(self.shelf, name)

    def restore(self, name: str | None, default: Any, context: Context) -> Any:
        """Return the data of the newest checkpoint of a name, else of the task's own."""
        if name is not None:
            found = Checkpoints(self.shelf, name).latest()
        elif context is None:
            raise ValueError("restore() outside of a task needs the name of a checkpoint")
        else:
            found = newest_of_task(self.shelf, task_of(context))
        if found is None:
            return default
        self._note_use(found, context)
        return found.load()

    def find_asset(self, name: str, kinds: Sequence[str], context: Context) -> Asset | None:
        """Return what is called so in the run, else the experiment, the project, the workspace."""
        for key in chain(self.key):
            found: Asset | None = shelf_at(self.store, key).newest(name, kinds)
            if found is not None:
                self._note_use(found, context)
                return found
        return None

    def set_active_task(self, task: str, context: Context) -> None:
        if context is None or context.run_context is None:
            raise RuntimeError("set_active_task() is called on the context of a task of a run")
        set_active_task(context.run_context, context.action.name, task)

    def _note_use(self, asset: Asset, context: Context) -> None:
        note_use(self.shelf, self.producing, context, asset.id)

    # -- what the runtime keeps ----------------------------------------------------------------

    def keep_error(self, task: str | None, trace: str) -> ErrorTraceAsset:
        """Keep what a task, or else the run's own code, failed with, as text."""
        self._has_error = True
        name = task or "run"
        kept: ErrorTraceAsset = self._keep("error_trace", name, contents_of(name, trace), task)
        return kept

    def _keep(self, kind: str, name: str, contents: Contents, task: str | None = None) -> Any:
        producer = msgspec.structs.replace(self.producing.producer(None), task=task)
        return self.shelf.save(kind, name, contents, producer=producer)

    def keep_end(
        self,
        phase: str,
        outputs: bytes | None,
        error: str | None,
        trace: str,
        task: str | None = None,
    ) -> None:
        """Keep how the execution has ended, and what it gave back.

        Args:
            outputs: as the database has them: MessagePack.
            error, trace: what it failed with, without and with its traceback.
            task: name of the action that failed.
        """
        if error is not None and not self._has_error:
            self.keep_error(task, trace)
        if not self.keeps_every_end and not manifest_size(self.shelf.path):
            return  # it has kept nothing: what the record says is enough
        if outputs is not None:
            self._keep("output", "outputs", Contents((outputs,), "msgpack"))
        state = {"execution": self.producing.execution, "phase": phase, "error": error}
        self._keep("execution_state", "state", contents_of("state", state))

    def close(self) -> None:
        """Write what waits, and the manifest anew: the execution has ended.

        Raises:
            AssetError, StoreError: it can't be written; what is on disk is as it was.
        """
        self.shelf.close()

    def finish(
        self,
        phase: str,
        *,
        outputs: bytes | None,
        error: str | None,
        trace: str,
        task: str | None = None,
    ) -> StoreError | None:
        """Keep the end and close; return why something could not be written, if so.

        A manifest that can't be written anew holds all the same.
        """
        try:
            self.keep_end(phase, outputs, error, trace, task)
            self.shelf.flush_logs()
        except StoreError as problem:
            return problem
        except AssetError as problem:
            return StoreError(f"what the run has kept is not all there: {problem}")
        try:
            self.shelf.close()
        except (AssetError, StoreError) as problem:
            _log.warning("the manifest of the run %r is not compacted: %s", self.key, problem)
        return None


def assets_of_key(store: Store, key: RunKey, execution: int) -> RunAssets:
    """Return the assets of a run, for one execution of it."""
    producing = Producing(
        run=key.name, project=key.project, experiment=key.experiment, execution=execution
    )
    return RunAssets(store, key_of_run(key), producing)


def open_run_assets(
    scope: Scope, *, execution: int | None = None, store: Store | None = None
) -> RunAssets:
    """Return the assets of a run, to be put into `RunContext.kept`.

    Args:
        execution: number of the attempt, from 1.
        store: another one than the scope's own, if that is open already.
    """
    names = {each.kind: each.name for each in upwards(scope)}
    producing = Producing(
        run=names.get("run"),
        project=names.get("project"),
        experiment=names.get("experiment"),
        execution=execution,
    )
    return RunAssets(store or scope.store, key_of(scope), producing)
