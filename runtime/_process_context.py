"""What a function in a worker process sees of the task that it is: `trouper.ctx()` there.

Rule 1: what is plain data is as in the main process.
Rule 2: what would reach only the worker's own copy, or nobody, is refused with what to do instead:
a result that is set there would be lost without a word.
"""

import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

import attrs
import msgspec

from ..actors._assets import assets_of
from ..actors._current import current_context
from ..actors._profile_config import ProfileConfig
from ..actors._run_context import ActionID, RunContext
from ..actors._task_context import TaskContext

_STAYS = {"workspace", "results", "kept"}
"""What of a run is in the main process only."""

_BY_PARAMETER = "hand over what is needed by a parameter"
_BEHIND = "return the value, and do it in a task behind this one"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What goes to the worker."""

    action: ActionID
    attempt: int
    upstreams: tuple[str, ...]
    config: ProfileConfig
    run: dict[str, Any]
    """Fields of its `RunContext`, mappings as dicts."""
    is_kept: bool
    """Whether the run lies in a workspace."""


def pack_context() -> bytes:
    """Return what a worker process is told of the task that runs here; empty: none does."""
    context = current_context.get()
    if context is None or context.run_context is None:
        return b""
    run = context.run_context
    fields = {
        field.alias or field.name: getattr(run, field.name)
        for field in attrs.fields(RunContext)
        if field.name not in _STAYS
    }
    fields |= {"version": run.version, "custom_context": context.custom_context}
    seen = Seen(
        action=context.action,
        attempt=context.attempt,
        upstreams=context.upstreams,
        config=context.config,
        run={key: dict(value) if _is_mapping(value) else value for key, value in fields.items()},
        is_kept=assets_of(run) is not None,
    )
    return pickle.dumps(seen, pickle.HIGHEST_PROTOCOL)


def _is_mapping(value: object) -> TypeGuard[Mapping[str, str]]:
    return isinstance(value, Mapping)


def read_context(packed: bytes) -> "ProcessContext":
    """Return the context of a call, in the worker."""
    return ProcessContext(pickle.loads(packed))


class ProcessContext(TaskContext[Any, Any, Any]):
    """A `TaskContext` for a worker process: it tells, and reaches nothing."""

    __slots__ = ("_own_run", "_seen")

    _seen: Seen
    _own_run: RunContext

    def __init__(self, seen: Seen) -> None:
        object.__setattr__(self, "_seen", seen)
        object.__setattr__(self, "_own_run", RunContext(**seen.run))

    def __repr__(self) -> str:
        return f"<context of {self.action.name} in a worker process>"

    @property
    def attempt(self) -> int:
        return self._seen.attempt

    @property
    def upstreams(self) -> tuple[str, ...]:
        return self._seen.upstreams

    if not TYPE_CHECKING:  # fields there, which can't be overridden by properties

        @property
        def action(self) -> ActionID:
            return self._seen.action

        @property
        def config(self) -> ProfileConfig:
            return self._seen.config

        @property
        def run_context(self) -> RunContext:
            return self._own_run

        @property
        def state(self) -> NoReturn:
            self._refuse("state", _BY_PARAMETER)

        @property
        def deps(self) -> NoReturn:
            self._refuse("deps", _BY_PARAMETER)

        @property
        def inputs(self) -> NoReturn:
            self._refuse("inputs", "they are the function's parameters")

    async def ask(self, x: Any, to: Any, **options: Any) -> NoReturn:
        self._refuse("ask()", "ask in an actor before or behind this node")

    async def reply(self, y: Any, envelope: Any = None) -> NoReturn:
        self._refuse("reply()", "return the reply")

    def set_result(self, name: str, value: Any) -> NoReturn:
        self._refuse("set_result()", _BEHIND)

    def get_result(self, name: str, default: Any = None) -> NoReturn:
        self._refuse("get_result()", _BY_PARAMETER)

    # -- assets: None without a workspace, as anywhere -----------------------------------------

    @property
    def artifact(self) -> None:
        self._soft("artifact", _BEHIND)

    @property
    def data_assets(self) -> None:
        self._soft("data_assets", _BEHIND)

    def log(self, name: str) -> None:
        self._soft("log()", _BEHIND)

    def checkpoint(self, name: str, *, data: Any = None) -> None:
        self._soft("checkpoint()", _BEHIND)

    def checkpoints(self, name: str) -> None:
        self._soft("checkpoints()", _BY_PARAMETER)

    def restore(self, name: str | None = None, default: Any = None) -> Any:
        self._soft("restore()", _BY_PARAMETER)
        return default

    def find_asset(self, name: str, *, kind: str | None = None) -> None:
        self._soft("find_asset()", _BY_PARAMETER)

    def set_active_task(self, task: str) -> None:
        self._soft("set_active_task()", _BEHIND)

    def _soft(self, what: str, instead: str) -> None:
        if self._seen.is_kept:
            self._refuse(what, instead)

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise RuntimeError(
            f"ctx().{what} can't be reached from the worker process of {self.action.name!r}: "
            f"{instead}, or leave out executor='process'"
        )


ProcessContext.__module__ = "trouper"
