"""`trouper.Run`: what is recorded of a run, from any process."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ...actors._profile_config import ProfileConfig
from ..store._errors import NoSuchRun
from ..store._records import RunKey, RunRecord
from ._scope import Scope

if TYPE_CHECKING:
    from ._project import Experiment
    from ._workspace import Workspace

RunPhase = Literal["pending", "running", "completed", "failed", "cancelled"]


class Run(Scope):
    """A run of an experiment: one name, any number of executions.

    One that lies in no experiment is kept in memory alone, by a subclass.
    """

    kind = "run"

    def __init__(
        self,
        key: RunKey,
        experiment: "Experiment | None",
        *,
        parameters: Mapping[str, Any] | None = None,
        config: ProfileConfig | None = None,
    ) -> None:
        path = None if experiment is None else experiment.path / "runs" / key.name
        super().__init__(key.name, path, experiment)
        self._experiment = experiment
        self._key = key
        self._parameters = None if parameters is None else dict(parameters)
        self._config = config

    @property
    def id(self) -> str:
        return self.name

    @property
    def key(self) -> RunKey:
        """Project, experiment and name."""
        return self._key

    @property
    def experiment(self) -> "Experiment":
        """The experiment that it belongs to.

        Raises:
            RuntimeError: it lies in no workspace.
        """
        if self._experiment is None:
            raise RuntimeError(self.nowhere())
        return self._experiment

    def record(self) -> RunRecord | None:
        """Return what is recorded of its newest execution; None: it never began.

        Raises:
            StoreError: the database can't be read.
        """
        with self.workspace.reading() as store:
            if store is None:
                return None
            try:
                return store.runs.get(self._key)
            except NoSuchRun:
                return None

    @property
    def phase(self) -> RunPhase:
        """`pending` (it never began), `running`, `completed`, `failed` or `cancelled`."""
        record = self.record()
        return "pending" if record is None else record.phase

    @property
    def results(self) -> dict[str, Any]:
        """What `ctx.set_result` has kept, also while the run goes on."""
        with self.workspace.reading() as store:
            try:
                return {} if store is None else store.results.all(store.runs.get(self._key).run)
            except NoSuchRun:
                return {}


def run_of(workspace: "Workspace", key: RunKey) -> Run:
    """Return the run that a record tells of."""
    return Run(key, workspace.project(key.project).experiment(key.experiment))


Run.__module__ = "trouper"
