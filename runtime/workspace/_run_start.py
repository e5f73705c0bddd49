"""`run.start()`, `run.resume()`, `run.rerun()`: begin an execution of a run, and end it."""

from collections.abc import Callable
from contextlib import ExitStack
from traceback import format_exception
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...actors._run_context import RunContext
from ...actors._secret import mask_text, masked
from ..io._location import lasting
from ..io._places import close_places, places_of, settle_places
from ..logs._of_run import logging_of
from ..settings._init import current
from ..store._errors import StoreError
from ..store._records import NewRun
from ..store._verbs import Verb
from ._config_of import AnyConfig, as_config, config_of
from ._endings import ending
from ._kept_results import KeptResults
from ._which_run import OPEN

if TYPE_CHECKING:
    from ...actors._profile_config import ProfileConfig
    from ._endings import Ending
    from ._open_run import OpenRun
    from ._run import Run


class RunStart:
    """An execution of a run that is about to begin: use it once, in a `with` block.

    `with run.start() as run_context:`, then `await wf.execute(run_context=run_context)`; or
    `await wf.execute(run=run.resume())`.
    """

    def __init__(self, run: "Run", verb: Verb, profile_config: AnyConfig | None) -> None:
        self.run = run
        self.verb: Verb = verb
        self._given = as_config(profile_config)
        self._config: ProfileConfig | None = None
        self._target_before = ""
        self._results = KeptResults()
        self._open: OpenRun | None = None
        self._logging = ExitStack()
        said = current().run_defaults()
        self._places = {
            name: said[name] for name in ("raw_data_path", "run_base_dir") if name in said
        }
        context = RunContext(
            run_name=run.name,
            project=run.key.project,
            workspace=run.workspace,
            results=self._results,
            **self._places,
        )
        self.context = settle_places(context, run.workspace.path, experiment=run.key.experiment)
        """What tasks see of it."""

    def __repr__(self) -> str:
        return f"<{self.verb} of the run {self.run.name!r}>"

    @property
    def config(self) -> "ProfileConfig":
        """What it runs under.

        Raises:
            ValueError: as of `config_of`.
            TypeError: it is the run of a task, which is done again in another way.
        """
        if self._config is None:
            record = self.run.record() if self.verb in ("resume", "rerun") else None
            if record is not None and record.kind == "task":
                verb = "rerun" if self.verb == "rerun" else "recover"
                raise TypeError(
                    f"the run {self.run.name!r} is one of the task {record.target!r}, not of a "
                    f"workflow; trouper.{verb}({self.run.name!r}) does it again"
                )
            self._target_before = "" if record is None else record.target
            self._config = config_of(self.verb, self._given, self.run.said_config, record)
        return self._config

    @property
    def open_run(self) -> "OpenRun":
        """What workflows join; after `begin`."""
        assert self._open is not None
        return self._open

    # -- the block ---------------------------------------------------------------------------

    def __enter__(self) -> RunContext:
        """Claim the run.

        Raises:
            RunNameTaken: it goes on, in this process or another one.
            WrongPhase: its phase is not one that this verb takes; the text says which one does.
            NotTheSame: its parameters or its configuration are others than before.
            StoreError: the workspace can't be written.
        """
        self.begin()
        return self.context

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        failure = self.finish(exc)
        if failure is None:
            return
        if exc is None:
            raise failure
        exc.add_note(f"and the end of the run {self.run.name!r} was not recorded: {failure}")

    def begin(self, target: str = "") -> None:
        """Claim the run; `finish` has to follow. Raises: as `__enter__`."""
        from ...actors._assets import KEY as ASSETS
        from ..tasks._calls import calls_of
        from ..tasks._recall import Keeper
        from ._open_run import OpenRun
        from ._tracked import KEY, track

        if self._open is not None:
            raise RuntimeError(
                f"this {self.verb} of the run {self.run.name!r} was used before; call "
                f"run.{self.verb}() again for another"
            )
        tracked = track(
            self.run.workspace,
            self._new_run(target),
            verb=self.verb,
            is_recovery=self.verb == "resume",
        )
        self._open = OpenRun(tracked, self.context, self.config)
        try:
            tracked.tell()
            self._results.bind(tracked)
            tracked.assets.keep_data_in(places_of(self.context).assets())
            kept = self.context.kept
            kept[KEY], kept[OPEN], kept[ASSETS] = tracked, self._open, tracked.assets
            calls_of(self.context).keeper = Keeper(tracked)
            self._logging.enter_context(logging_of(self.context, self.run.path / "logs"))
        except BaseException as error:
            self.finish(error)
            raise

    def _new_run(self, target: str) -> NewRun:
        run, config = self.run, self.config
        return NewRun(
            name=run.name,
            project=run.key.project,
            experiment=run.key.experiment,
            experiment_params=run.experiment.said_params,
            parameters=run.said_parameters,
            target=target or self._target_before,
            params={name: lasting(text, name) for name, text in self._places.items()},
            profile=config.name,
            config=masked(config.to_dict()),
            config_hash=config.content_hash(),
        )

    def finish(self, raised: BaseException | None) -> StoreError | None:
        """Record the end; return why that could not be done, if so.

        Args:
            raised: what ended the block; None: it ended by itself.
        """
        from ._kept_values import show

        opened = self.open_run
        opened.is_over = True
        end = ending(
            raised,
            opened.outcomes,
            is_aborted=opened.aborted is not None,
            before=self._target_before,
        )
        self._logging.close()
        self._results.unbind()
        self._note(self._keep_error, end)
        outputs = show([list(opened.outputs), masked(tuple(opened.outputs.values()))])
        failure = opened.tracked.finish(end.phase, outputs=outputs, error=end.error)
        close_places(self.context)
        return failure

    def _keep_error(self, end: "Ending") -> None:
        """Keep the trace of a failure in the folder of the run too."""
        if end.error is not None and end.phase == "failed":
            trace = mask_text("".join(format_exception(end.error)))
            self.open_run.tracked.assets.keep_error(end.node, trace)

    def _note(self, write: Callable[..., None], *args: Any) -> StoreError | None:
        """Write, and note if that fails; return why."""
        from ..assets._errors import AssetError

        try:
            write(*args)
        except AssetError as error:
            failure = StoreError(str(error))
        except StoreError as error:
            failure = error
        else:
            return None
        self.open_run.tracked.fail(failure)
        return failure


RunStart.__module__ = "trouper"
