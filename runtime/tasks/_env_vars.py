"""Environment variables of a run of tasks: checked when they are given, set while it goes on."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import define, field

from .._alone import WITHIN, Running, enter, leave, starter

if TYPE_CHECKING:
    from ._hold import Hold
    from ._run import TaskRun


def check_variables(variables: Mapping[str, str]) -> None:
    """Refuse what no environment can hold. Values are never shown: they may be secrets.

    Raises:
        ValueError: with the name of the variable.
    """
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"env_vars: {name!r} is no name of a variable; it has no '=' in it")
        try:
            os.fsencode(name + value)
        except UnicodeEncodeError:
            raise ValueError(f"env_vars: the value of {name!r} is no text") from None
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
