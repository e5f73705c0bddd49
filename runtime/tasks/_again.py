"""`trouper.rerun` and `trouper.recover`: another execution of a run that has ended."""

import os
import sys
from collections.abc import Mapping
from inspect import Parameter, Signature
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Literal

import sniffio

from .._names import suggest
from .._workflow import Workflow
from ..workspace._config_of import config_of
from ..workspace._kept_values import NotKept, is_dict, is_list, shown
from ..workspace._workspace import Workspace
from ._bound_task import BoundTask, take_task
from ._hold import Again
from ._run import TaskRun
from ._runner import run_awaited, run_prepared, with_runcontext

if TYPE_CHECKING:
    from ..store._records import RunRecord

_NOT_GIVEN_AGAIN = ("file", "env_vars", "copy_bundle_to", "dry_run")
"""Of the recorded parameters those that no further execution is given."""


class Repeat:
    """`trouper.rerun` and `trouper.recover`, each in its two forms."""

    def __init__(self, name: str, verb: Literal["rerun", "resume"], doc: str) -> None:
        self._verb: Literal["rerun", "resume"] = verb
        self.__name__ = self.__qualname__ = name
        self.__doc__ = doc
        self.__module__ = "trouper"

    def __repr__(self) -> str:
        return f"<function trouper.{self.__name__}>"

    def __call__(
        self, name: str, target: Any = None, /, *, workspace: Any = None, **parameters: Any
    ) -> TaskRun:
        """Do it, and block until the run has ended.

        Args:
            name: of the run; or PROJECT/EXPERIMENT/NAME.
            target: its task or workflow; None: it is looked for in the file that it stood in.
            workspace: where the run is recorded; None: as configured.
            parameters: of `with_runcontext`, over those that are recorded.

        Raises:
            StoreError: there is no such run; it goes on; or the workspace can't be used.
            ValueError: what it was given, or its code, can't be had again; the text says how.
            RuntimeUserError, RunCancelled, KeyboardInterrupt: as of `runner.run`.
            RuntimeError: an event loop runs in this thread; the text names the awaitable form.
        """
        self._refuse_in_a_loop(name)
        return run_prepared(prepare_again(self._verb, name, target, workspace, parameters))

    async def aio(
        self, name: str, target: Any = None, /, *, workspace: Any = None, **parameters: Any
    ) -> TaskRun:
        """Do it, awaited: in trio in this task, in asyncio beside it. Else as the blocking form.

        A cancel of the awaiting task cancels the run.
        """
        return await run_awaited(prepare_again(self._verb, name, target, workspace, parameters))

    def _refuse_in_a_loop(self, name: str) -> None:
        try:
            library = sniffio.current_async_library()
        except sniffio.AsyncLibraryNotFoundError:
            return
        raise RuntimeError(
            f"trouper.{self.__name__}() blocks, and {library} runs in this thread; write "
            f"`await trouper.{self.__name__}.aio({name!r}, ...)`"
        )


rerun = Repeat(
    "rerun",
    "rerun",
    """Do a run that has ended again, from the top, with what it was given.

    `rerun(name, target=None, *, workspace=None, **parameters)` blocks; async code awaits
    `rerun.aio(...)`.
    """,
)
recover = Repeat(
    "recover",
    "resume",
    """Go on with a run that failed, was cancelled, or whose process died.

    An action that has completed is not done again: what it gave back then is used. One that was
    under way is, unless processes died in it as often as its task may be tried (three times, or as
    `retries` says): that one fails with `ProcessLost`.

    Arguments, and the awaitable form: as of `rerun`.
    """,
)


def prepare_again(
    verb: Literal["rerun", "resume"],
    name: str,
    target: Any = None,
    place: Any = None,
    parameters: Mapping[str, Any] = MappingProxyType({}),
) -> TaskRun:
    """Return another execution of a run, which has not begun. Arguments, errors: as of `Repeat`."""
    workspace = place if isinstance(place, Workspace) else Workspace(place, create=False)
    run = workspace.find_run(name)
    record = run.record()
    assert record is not None  # it was found
    chosen = _found(record) if target is None else target
    _refuse_another(record, chosen)
    again = Again(
        verb=verb,
        experiment=record.experiment,
        config=config_of(verb, None, None, record),
    )
    values: dict[str, Any] = {**_parameters(record), **parameters, "workspace": workspace}
    runner = with_runcontext(values.pop("mode"), **values)
    args, named = _arguments(record, chosen)
    return runner.prepare(chosen, args, named, again)


def _parameters(record: "RunRecord") -> dict[str, Any]:
    """Return the recorded parameters of `with_runcontext`."""
    known = {
        "mode": record.mode,
        "name": record.name,
        "project": None if record.project == "default" else record.project,
        "domain": record.domain,
        "queue": record.queue,
        "labels": record.labels or None,
        "annotations": record.annotations or None,
        "env_vars": _variables(record),
    }
    more = {key: each for key, each in record.params.items() if key not in _NOT_GIVEN_AGAIN}
    return {key: each for key, each in {**known, **more}.items() if each is not None}


def _variables(record: "RunRecord") -> dict[str, str] | None:
    """Return the values of `env_vars`, which are not recorded."""
    names: list[str] = record.params.get("env_vars", [])
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ValueError(
            f"the run {record.name!r} had env_vars, whose values are not recorded: set "
            f"{', '.join(missing)} in the environment, or begin it from your program"
        )
    return {name: os.environ[name] for name in names} or None


# -- its code -------------------------------------------------------------------------------------


def _found(record: "RunRecord") -> Any:
    """Return the task or workflow that a run was of, from the file that it stood in."""
    file: str | None = record.params.get("file")
    if file is None:
        raise ValueError(
            f"where the {record.kind} {record.target!r} of the run {record.name!r} stands is not "
            "recorded; give it as second argument"
        )
    module = _module_of(file)
    targets = dict(_targets(module))
    if record.target not in targets:
        hint = suggest(record.target, targets) if targets else " there is none at all"
        raise ValueError(
            f"{file} has no {record.kind} {record.target!r} at its top level;{hint}. Give it as "
            "second argument"
        )
    return targets[record.target]


def _targets(module: ModuleType) -> "list[tuple[str, Any]]":
    return [
        (each.name, each)
        for each in vars(module).values()
        if isinstance(each, BoundTask | Workflow)
    ]


def _module_of(file: str) -> ModuleType:
    """Return the module of a file; it is loaded if it is not there."""
    for module in tuple(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path is not None and os.path.realpath(path) == os.path.realpath(file):
            return module
    from .._cli_load import run_file
    from .._cli_problem import Problem

    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{file} is not there any more; give the task or workflow itself")
    try:
        return run_file(path)
    except Problem as problem:
        raise ValueError(str(problem)) from None


def _refuse_another(record: "RunRecord", target: Any) -> None:
    found = take_task(target)
    name = found[0].name if found is not None else getattr(target, "name", None)
    if name != record.target:
        raise ValueError(
            f"the run {record.name!r} is one of {record.kind} {record.target!r}, not of {name!r}; "
            "give that, or start another run"
        )


# -- what it was given ----------------------------------------------------------------------------


def _arguments(record: "RunRecord", target: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    found = take_task(target)
    if found is None or record.inputs is None:
        return (), {}
    inputs: dict[str, Any] = shown(record.inputs)
    for name, value in inputs.items():
        if _has_lost(value):
            raise ValueError(
                f"{name} of the run {record.name!r} is not recorded, for it is no plain data "
                f"({value!r}); begin it from your program"
            )
    return _bound(found[0].spec.binder.signature, inputs)


def _has_lost(value: object) -> bool:
    if is_dict(value):
        return any(map(_has_lost, value.values()))
    return any(map(_has_lost, value)) if is_list(value) else isinstance(value, NotKept)


def _bound(
    signature: Signature, inputs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return recorded arguments as a call takes them."""
    args: list[Any] = []
    named: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if name not in inputs:
            continue
        if parameter.kind is Parameter.VAR_POSITIONAL:
            args += inputs[name]
        elif parameter.kind is Parameter.VAR_KEYWORD:
            named.update(inputs[name])
        elif parameter.kind is Parameter.KEYWORD_ONLY:
            named[name] = inputs[name]
        else:
            args.append(inputs[name])
    return tuple(args), named
