"""What every task sees: its inputs, shared state, dependencies, configuration and run."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Generic

import attrs
import trio
from typing_extensions import TypeVar

from ..channels._context import message_context
from ..channels._envelope import Envelope
from ._ask import Asks, WhenRestarting, asks_of, question_of
from ._assets import KEY as ASSETS
from ._assets import assets_of
from ._profile_config import ProfileConfig
from ._run_context import ActionID, Mode, RunContext

StateT = TypeVar("StateT", default=Any)
DepsT = TypeVar("DepsT", default=Any)
InputT = TypeVar("InputT", default=Any)

_NO_PROFILE = ProfileConfig()
_NOWHERE = ActionID(name="")


@attrs.frozen(eq=False, weakref_slot=False)
class TaskContext(Generic[StateT, DepsT, InputT]):
    """The boundary between a workflow definition and the code inside one task.

    Each task has its own, and nobody can change it; what `state` refers to is the user's own
    object, shared by all tasks of one execution.
    """

    state: StateT = None  # type: ignore[assignment]  # without an execution there is no state
    """The user's own object, as given to `execute(state=...)`."""
    deps: DepsT = None  # type: ignore[assignment]  # likewise
    """Injected dependencies, as given to `execute(deps=...)`."""
    inputs: InputT = None  # type: ignore[assignment]  # a task without upstreams has none
    """The upstream's value; with several, an immutable mapping keyed by upstream name."""
    config: ProfileConfig = _NO_PROFILE
    """The resolved profile, always there, read-only."""
    run_context: RunContext | None = None
    """The run this task belongs to; None in a context made by hand."""
    action: ActionID = _NOWHERE
    """Who this task is within the run."""
    _asks: Asks | None = attrs.field(default=None, alias="asks")

    @property
    def attempt(self) -> int:
        """How many times this task was started, this time included."""
        return 1 if self._asks is None else self._asks.attempt_of(self.action.name)

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The nodes that its input comes from, in order; of a called task, its caller."""
        return () if self._asks is None else self._asks.upstreams_of(self.action.name)

    @property
    def mode(self) -> Mode:
        return "local" if self.run_context is None else self.run_context.mode

    @property
    def version(self) -> str:
        """Version of the code that runs."""
        return "" if self.run_context is None else self.run_context.version

    @property
    def raw_data_path(self) -> str:
        """Prefix under which offloaded data is stored."""
        return "" if self.run_context is None else self.run_context.raw_data_path

    @property
    def run_base_dir(self) -> str:
        """Directory of files passed between tasks."""
        return "" if self.run_context is None else self.run_context.run_base_dir

    @property
    def custom_context(self) -> dict[str, str]:
        """The run's key-value pairs, with those of the message in hand over them; a fresh dict."""
        base: Mapping[str, str] = (
            {} if self.run_context is None else self.run_context.custom_context
        )
        return {**base, **message_context.get().custom_context}

    @property
    def disable_run_cache(self) -> bool:
        return False if self.run_context is None else self.run_context.disable_run_cache

    def is_in_cluster(self) -> bool:
        """Return True when the mode is "remote"."""
        return self.mode == "remote"

    # -- questions ---------------------------------------------------------------------------

    async def ask(
        self,
        x: Any,
        to: Any,
        *,
        reply_from: Any = None,
        timeout: float | None = 30.0,
        restarting: WhenRestarting = "wait",
    ) -> Any:
        """Send a question to a node of this run, and return the reply.

        Arguments and errors: as `LiveRun.ask`; and
            AskCycle: nodes wait for one another, this one among them.
            NotImplementedError: this context was made by hand and is connected to no run.
        """
        return await asks_of(self._asks).ask(
            x, to, reply_from=reply_from, timeout=timeout, restarting=restarting, asker=None
        )

    async def reply(self, y: Any, envelope: Envelope[Any] | None = None) -> None:
        """Answer the question that the message in hand came from; the first reply wins.

        Args:
            envelope: of several messages in hand (`ctx.messages`), the one that is answered.

        Raises:
            RuntimeError: it came from no question, or from several.
        """
        context = message_context.get() if envelope is None else envelope.context
        question_of(context, self.action.name).answer(y, self.action.name)

    def set_result(self, name: str, value: Any) -> None:
        """Put a value into the run's result map; without a run this does nothing."""
        if self.run_context is not None:
            self.run_context.results[name] = value

    def get_result(self, name: str, default: Any = None) -> Any:
        """Return a value of the run's result map."""
        return default if self.run_context is None else self.run_context.results.get(name, default)

    # -- assets: without a workspace they are None, or return None (seed page, "soft") --------

    @property
    def artifact(self) -> Any:
        """What saves, loads and opens artifacts of the run; None without a workspace."""
        assets = assets_of(self.run_context)
        return None if assets is None else assets.artifact(self)

    @property
    def data_assets(self) -> Any:
        """What imports files and folders into the run; None without a workspace."""
        assets = assets_of(self.run_context)
        return None if assets is None else assets.data_assets(self)

    def log(self, name: str) -> Any:
        """Return the log of that name, the same each time; None without a workspace."""
        try:  # asked for with each line: nothing is called where it is known
            return self.run_context.kept[ASSETS].logs[name]  # type: ignore[union-attr]  # caught
        except (AttributeError, KeyError, TypeError):  # no run, no workspace, a name that is new
            assets = assets_of(self.run_context)
            return None if assets is None else assets.log(name, self)

    def checkpoint(self, name: str, *, data: Any = None) -> Any:
        """Keep `data` as the next of that name's chain, which goes on through all attempts.

        It is on disk when this returns. Returns its record; None without a workspace.

        Raises:
            AssetError: it can't be kept: it is no plain data and no bytes, or the disk is full.
        """
        assets = assets_of(self.run_context)
        return None if assets is None else assets.checkpoint(name, data, self)

    async def acheckpoint(self, name: str, *, data: Any = None) -> Any:
        """Do so in a worker thread: for data that is large, or goes to a bucket."""
        return await trio.to_thread.run_sync(partial(self.checkpoint, name, data=data))

    def checkpoints(self, name: str) -> Any:
        """Return the chain of that name: `.latest()`, or all of it; None without a workspace."""
        assets = assets_of(self.run_context)
        return None if assets is None else assets.checkpoints(name)

    def restore(self, name: str | None = None, default: Any = None) -> Any:
        """Return the data of the newest checkpoint, from whatever attempt or execution.

        Args:
            name: of the chain; None: the newest that this task has made.
            default: returned if there is none, and without a workspace.
        """
        assets = assets_of(self.run_context)
        return default if assets is None else assets.restore(name, default, self)

    async def arestore(self, name: str | None = None, default: Any = None) -> Any:
        """Do so in a worker thread."""
        return await trio.to_thread.run_sync(self.restore, name, default)

    def find_asset(self, name: str, *, kind: str | None = None) -> Any:
        """Search run, experiment, project and workspace for an asset of any kind.

        The nearest wins, of that its newest version; `.path` is absolute. None: there is none, or
        no workspace.

        Args:
            kind: "data", "artifact", "log", "checkpoint", ...; None: any.
        """
        assets = assets_of(self.run_context)
        kinds = () if kind is None else (kind,)
        return None if assets is None else assets.find_asset(name, kinds, self)

    def set_active_task(self, task: str) -> None:
        """Have what this task makes from now on be credited to `task`, instead of its own name.

        Nobody has to call it: each asset knows its task. Without a workspace it does nothing.
        """
        assets = assets_of(self.run_context)
        if assets is not None:
            assets.set_active_task(task, self)


TaskContext.__module__ = "trouper"
