"""A project of a workspace, and an experiment of a project."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...actors._profile_config import ProfileConfig
from ..store._records import DEFAULT_SCOPE, RunKey
from ._names import check_run_id, folder_of
from ._run import Run
from ._run_id import checked_params, derived_id, fresh_id
from ._scope import Scope, ScopeKind

if TYPE_CHECKING:
    from ._workspace import Workspace


class Project(Scope):
    """Experiments that belong together. From `workspace.project(name)`."""

    kind: ScopeKind = "project"

    def __init__(self, name: str, workspace: "Workspace") -> None:
        super().__init__(name, workspace.path / "projects" / folder_of(name, "project"), workspace)

    def experiment(
        self, name: str = DEFAULT_SCOPE, *, params: Mapping[str, Any] | None = None
    ) -> "Experiment":
        """Return the experiment of this name.

        Args:
            params: what it is about: plain data. Recorded with its first run; other ones are
                refused then. None: as they were recorded.

        Raises:
            TypeError, ValueError: it can't be called so, or `params` are no plain data.
        """
        return Experiment(name, self, params)

    def experiments(self) -> "list[Experiment]":
        """Return the experiments that something was kept in: runs, or assets. By name."""
        found = {name for project, name, _ in self.workspace.scopes() if project == self.name}
        for project, *below in self.workspace.scopes_of_assets():
            if project == self.name:
                found.update(below)
        return [self.experiment(name) for name in sorted(found)]


class Experiment(Scope):
    """Runs that answer one question. From `project.experiment(name)`."""

    kind: ScopeKind = "experiment"

    def __init__(self, name: str, project: Project, params: Mapping[str, Any] | None) -> None:
        super().__init__(
            name, project.path / "experiments" / folder_of(name, "experiment"), project
        )
        self._project = project
        self._params = checked_params(params, f"params of the experiment {name!r}")

    @property
    def project(self) -> Project:
        return self._project

    @property
    def params(self) -> dict[str, Any]:
        """What it is about; empty if nobody has said so."""
        if self._params is not None:
            return dict(self._params)
        for project, name, params in self.workspace.scopes():
            if (project, name) == (self._project.name, self.name):
                return params
        return {}

    @property
    def said_params(self) -> dict[str, Any] | None:
        """What this object was given; None: nothing."""
        return self._params

    def run(
        self,
        parameters: Mapping[str, Any] | None = None,
        id: str | None = None,
        *,
        profile_config: ProfileConfig | Mapping[str, Any] | None = None,
    ) -> Run:
        """Return a run: the one that was begun before, or one that begins with `run.start()`.

        Args:
            parameters: what tells it from the others: plain data. Recorded when it begins.
            id: its name. None: made from `parameters` and `profile_config`, so that equal ones
                give the same run; without either it is a new run each time.
            profile_config: what it is to run under; `run.start()` takes it from here.

        Raises:
            TypeError, ValueError: the id is not legal, or `parameters` are no plain data.
        """
        said = checked_params(parameters, "parameters of a run")
        config = None
        if profile_config is not None:
            config = (
                profile_config
                if isinstance(profile_config, ProfileConfig)
                else ProfileConfig(profile_config)
            )
        if id is not None:
            name = check_run_id(id)
        elif said is None and config is None:
            name = fresh_id()
        else:
            name = derived_id(said or {}, None if config is None else config.content_hash())
        return Run(
            RunKey(name, self._project.name, self.name), self, parameters=said, config=config
        )

    def runs(self) -> list[Run]:
        """Return the runs that were begun, the newest first."""
        return self.workspace.runs(project=self._project.name, experiment=self.name)


Project.__module__ = Experiment.__module__ = "trouper"
