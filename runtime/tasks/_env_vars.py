"""Environment variables of a run of tasks: checked when they are given, set while it goes on."""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from attrs import define, field

from ...actors._text import check_text
from .._alone import WITHIN, Running, enter, leave, starter

if TYPE_CHECKING:
    from ._hold import Hold
    from ._run import TaskRun


def read_variables(variables: Mapping[str, str]) -> Mapping[str, str]:
    """Return an unchangeable copy of variables that an environment can hold.

    Values are never shown: they may be secrets.

    Raises:
        TypeError, ValueError: with the name of the variable.
    """
    # What a caller without type checking may hand over.
    if not isinstance(cast("object", variables), Mapping):
        raise TypeError(
            f"env_vars takes a mapping from str to str, got one of type {type(variables).__name__}"
        )
    for name, value in cast("Mapping[object, object]", variables).items():
        if not isinstance(name, str):
            raise TypeError(f"env_vars takes str, got the name {name!r}; str() it")
        if not isinstance(value, str):
            raise TypeError(
                f"env_vars takes str, and the value of {name!r} is of type "
                f"{type(value).__name__}; str() it"
            )
        _check_variable(name, value)
    return MappingProxyType(dict(variables))


def _check_variable(name: str, value: str) -> None:
    check_text(name, "a name in env_vars")
    if not name or "=" in name or "\0" in name:
        raise ValueError(f"env_vars: {name!r} is no name of a variable; it has no '=' in it")
    try:
        # Not as UTF-8: what no text is in the environment comes so from `os.environ`.
        os.fsencode(value)
    except UnicodeEncodeError as problem:
        raise ValueError(
            f"env_vars: the value of {name!r} is no text: it has half a character at "
            f"{problem.start}; leave that out"
        ) from None
    if "\0" in value:
        raise ValueError(f"env_vars: the value of {name!r} has a null character in it")


@define(eq=False)
class InProcess:
    """Holds the process's environment for a run, besides what the run holds otherwise."""

    variables: Mapping[str, str] = field(repr=False)
    rest: "Hold"
    _running: Running | None = field(default=None, init=False)

    def take(self, run: "TaskRun") -> None:
        """Set the variables.

        Raises:
            EnvVarsConflict: another run goes on; and what `rest` raises.
        """
        context = run.context
        within = starter()
        running = enter(context.run_name, self.variables, within)
        context.kept[WITHIN] = running if self.variables else within
        try:
            self.rest.take(run)
        except BaseException:
            leave(running)
            raise
        self._running = running

    def let_go(self, run: "TaskRun") -> BaseException | None:
        """Put the variables back; as of `rest`."""
        running, self._running = self._running, None
        try:
            return self.rest.let_go(run)
        finally:
            if running is not None:
                leave(running)
