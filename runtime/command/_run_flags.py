"""A flag of `trouper run` for each parameter of `with_runcontext`.

This is loaded for every command, `--help` too, so it imports nothing heavy.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from attrs import frozen
from cyclopts import Parameter

from .._cli_problem import Problem
from .._cli_text import plain


def _flag(help: str, *, name: str | None = None, negative: str = "") -> Parameter:
    return Parameter(name=name, help=help, negative=negative, group="Parameters of the run")


_Pairs = list[str] | None


@frozen(kw_only=True)
class RunFlags:
    """What was said of the run itself. None: not said, so as configured, or the default."""

    mode: Annotated[str | None, _flag("Where it executes: local; no other engine yet.")] = None
    project: Annotated[str | None, _flag("Project that the run belongs to.")] = None
    domain: Annotated[str | None, _flag("Domain, e.g. development or production.")] = None
    name: Annotated[str | None, _flag("Name of the run; else made from task and time.")] = None
    version: Annotated[str | None, _flag("Version of the code; else computed.")] = None
    queue: Annotated[str | None, _flag("Queue whose limit holds for its tasks.")] = None
    interruptible: Annotated[
        bool | None,
        _flag("Overrides what each task says.", negative="--no-interruptible"),
    ] = None
    raw_data_path: Annotated[
        str | None, _flag("Where files, data frames, artifacts and checkpoints go.")
    ] = None
    run_base_dir: Annotated[str | None, _flag("Folder of what tasks hand each other.")] = None
    overwrite_cache: Annotated[
        bool | None,
        _flag("Do all tasks anew and cache that.", negative="--no-overwrite-cache"),
    ] = None
    disable_run_cache: Annotated[
        bool | None,
        _flag("Leave the cache alone.", negative="--no-disable-run-cache"),
    ] = None
    cache_lookup_scope: Annotated[
        str | None, _flag("Whose cached results count: global, project-domain, run.")
    ] = None
    service_account: Annotated[str | None, _flag("Recorded, and handed to engines.")] = None
    env_vars: Annotated[
        _Pairs, _flag("KEY=VALUE, an environment variable of its tasks.", name="--env")
    ] = None
    labels: Annotated[_Pairs, _flag("KEY=VALUE, to find the run by.", name="--label")] = None
    annotations: Annotated[
        _Pairs, _flag("KEY=VALUE, recorded with the run.", name="--annotation")
    ] = None
    log_level: Annotated[str | None, _flag("DEBUG, INFO, ..., or a number.")] = None
    log_format: Annotated[str | None, _flag("console or json.")] = None
    reset_root_logger: Annotated[
        bool | None,
        _flag("Leave the root logger unchanged.", negative="--no-reset-root-logger"),
    ] = None
    copy_style: Annotated[
        str | None, _flag("What the code bundle holds: loaded_modules, all, none.")
    ] = None
    dry_run: Annotated[
        bool | None, _flag("Make the code bundle, run nothing.", negative="--no-dry-run")
    ] = None
    copy_bundle_to: Annotated[str | None, _flag("In a dry run: a copy of the bundle.")] = None
    interactive_mode: Annotated[
        bool | None,
        _flag("Overrides what was detected.", negative="--no-interactive-mode"),
    ] = None
    preserve_original_types: Annotated[
        bool | None,
        _flag("Hand tasks native data frames.", negative="--no-preserve-original-types"),
    ] = None
    custom_context: Annotated[
        _Pairs, _flag("KEY=VALUE, seen by every task, actor and message.")
    ] = None
    isolate: Annotated[
        str | None, _flag("process: the run has a process of its own.", name="--isolate")
    ] = None
    workspace: Annotated[
        bool | None,
        _flag("Record the run in the workspace, as is usual.", negative="--no-workspace"),
    ] = None

    def parameters(self) -> dict[str, Any]:
        """Return what was given, as `with_runcontext` takes it; `mode` is one of them.

        Raises:
            Problem: a value can't be read.
        """
        return dict(self._read())

    def _read(self) -> Iterator[tuple[str, Any]]:
        for parameter in FLAGS:
            value = getattr(self, parameter)
            if value is None:
                continue
            if parameter in PAIRS:
                value = _pairs(FLAGS[parameter], value)
            elif parameter == "log_level":
                value = _level(value)
            yield parameter, value


FLAGS: Final[Mapping[str, str]] = {
    name: {
        "env_vars": "--env",
        "labels": "--label",
        "annotations": "--annotation",
    }.get(name, f"--{name.replace('_', '-')}")
    for name in RunFlags.__annotations__
}
"""Parameter of `with_runcontext` to flag."""

PAIRS: Final = frozenset({"env_vars", "labels", "annotations", "custom_context"})


def _pairs(flag: str, words: Sequence[str]) -> dict[str, str]:
    """Return what `--label team=ml --label size=small` says.

    Raises:
        Problem: one has no key or no value, or a key is there twice.
    """
    pairs: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise Problem(f"{flag} {plain(word)!r} has no key or no '='; write {flag} KEY=VALUE")
        if key in pairs:
            raise Problem(f"{flag} has {plain(key)!r} twice; give each key once")
        pairs[key] = value
    return pairs


def _level(text: str) -> int:
    from ..settings._read import level_of

    try:
        return level_of(text, "--log-level")
    except ValueError as error:
        raise Problem(plain(error)) from None
