"""What a run holds while it goes on: its name, and its place in the record."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, evolve, field, frozen

from ...actors._profile_config import ProfileConfig
from ...actors._run_context import RunContext
from ...actors._secret import masked
from ..io._location import lasting, parse_folder
from ..io._places import places_of, settle_places
from ..settings._sections import Configuration
from ..store._records import DEFAULT_SCOPE
from ..store._verbs import Verb
from ..workspace._kept_results import KeptResults
from ._calls import calls_of
from ._env_vars import InProcess
from ._live_names import claim, release
from ._parameters import Parameters

if TYPE_CHECKING:
    from ..store._records import NewRun
    from ..workspace._tracked import Tracked
    from ..workspace._workspace import Workspace
    from ._run import TaskRun


class Hold(Protocol):
    """What a run takes when it begins, and lets go when it has ended."""

    def take(self, run: "TaskRun") -> None:
        """Take it.

        Raises:
            ValueError: a run of that name goes on.
            StoreError: the workspace can't be written.
        """
        ...

    def let_go(self, run: "TaskRun") -> BaseException | None:
        """Let it go; return why the end could not be recorded, if so."""
        ...


@define
class NameOnly:
    """A run that is in memory alone: its name, in this process."""

    name: str

    def take(self, run: "TaskRun") -> None:
        claim(self.name)

    def let_go(self, run: "TaskRun") -> BaseException | None:
        release(self.name)
        return None


@frozen(kw_only=True)
class Again:
    """That a run is begun anew which was recorded before."""

    verb: Verb
    experiment: str
    config: ProfileConfig
    """What it ran under."""

    @property
    def is_recovery(self) -> bool:
        """Whether what was finished then is used."""
        return self.verb == "resume"


@define(eq=False)
class Recording:
    """A run that is recorded in a workspace, which it holds from here on."""

    workspace: "Workspace"
    parameters: Parameters
    again: Again | None = None
    tracked: "Tracked | None" = field(default=None, init=False)

    def take(self, run: "TaskRun") -> None:
        from ...actors._assets import KEY as ASSETS
        from ..workspace._node_outputs import keep_outputs
        from ..workspace._tracked import KEY, track
        from ._recall import Keeper

        again = self.again
        self.tracked = tracked = track(
            self.workspace,
            new_run(run, self.parameters),
            verb="again" if again is None else again.verb,
            is_recovery=again is not None and again.is_recovery,
        )
        try:
            tracked.on_abort = partial(run.abort, "`trouper runs abort` was called")
            tracked.on_failure = run.fail
            tracked.look = run.work.look
            run.context.kept[KEY] = tracked
            run.context.kept[ASSETS] = tracked.assets
            tracked.assets.keep_data_in(places_of(run.context).assets())
            tracked.assets.keeps_every_end = False
            if isinstance(run.context.results, KeptResults):
                run.context.results.bind(tracked)
            calls_of(run.context).keeper = Keeper(tracked)
            execution = getattr(run.work, "execution", None)
            if execution is not None:
                keep_outputs(execution, tracked)
        except BaseException as error:
            tracked.finish("failed", error=error)
            raise

    def let_go(self, run: "TaskRun") -> BaseException | None:
        from ..workspace._kept_values import show

        tracked, self.tracked = self.tracked, None
        assert tracked is not None
        given = run.outputs_now()  # of a graph that failed: what was finished
        outputs = show([list(given.names), masked(tuple(given))])
        phase = "cancelled" if run.phase not in ("completed", "failed") else run.phase
        return tracked.finish(phase, outputs=outputs, error=run.error, task=run.work.failed_in)


def hold_of(
    parameters: Parameters,
    configuration: Configuration,
    context: RunContext,
    again: Again | None = None,
) -> tuple[Hold, RunContext]:
    """Return what a run holds, and its context with the workspace attached. Opens nothing yet.

    Raises:
        MissingExtra: its data goes to a bucket, and the library for those is not installed.
        StorageError: its `run_base_dir` may not be written.
    """
    variables: Mapping[str, str] = parameters.get("env_vars") or {}
    root = _root_of(parameters.get("workspace"), configuration)
    experiment = DEFAULT_SCOPE if again is None else again.experiment
    context = settle_places(context, root, experiment=experiment)
    if root is None:
        return InProcess(variables, NameOnly(context.run_name)), context
    from ..workspace._attached import attach_workspace

    workspace = attach_workspace(root)
    recording = Recording(workspace, parameters, again)
    context = evolve(context, workspace=workspace, results=KeptResults())
    return InProcess(variables, recording), context


def _root_of(given: Any, configuration: Configuration) -> Path | None:
    if given is False:
        return None
    if given in (None, True):
        return configuration.root
    # A trouper.Workspace, or a folder.
    return parse_folder(getattr(given, "path", given), "workspace")


def new_run(run: "TaskRun", parameters: Parameters) -> "NewRun":
    """Return what is known of a run when it begins."""
    from ..store._records import NewRun
    from ..workspace._kept_values import show

    context, config = run.context, run.work.config
    return NewRun(
        name=context.run_name,
        target=run.work.name,
        kind=run.work.kind,
        mode=context.mode,
        version=context.version,
        project=run.key.project,
        experiment=run.key.experiment,
        domain=context.domain,
        org=context.org,
        queue=context.queue,
        labels=dict(context.labels),
        annotations=dict(context.annotations),
        params={**masked(_plain(parameters)), **run.work.source()},
        profile=config.name,
        config=masked(config.to_dict()),
        config_hash=config.content_hash(),
        inputs=show(masked(run.work.inputs)),
    )


_IN_COLUMNS = frozenset(
    {"mode", "name", "project", "domain", "version", "queue", "labels", "annotations", "workspace"}
)


def _plain(parameters: Parameters) -> dict[str, Any]:
    """Return the parameters that have no column of their own, as JSON can hold them."""
    plain: dict[str, Any] = {}
    for name, value in parameters.given.items():
        if name == "raw_data_path":
            plain[name] = lasting(value, name)
        elif name == "env_vars":
            plain[name] = sorted(value)  # never the values
        elif name == "custom_context":
            plain[name] = dict(value)
        elif name not in _IN_COLUMNS:
            plain[name] = str(value) if isinstance(value, Path) else value
    return plain
