"""Environment variables of a run. `os.environ` is one for the whole process, so such a run is alone
in its process: beside another one either would see what is not its own.

Rule 1: whichever of two runs begins second is refused, with the names of both.
Rule 2: a run that is started inside of one with variables sees them, as a program that is started
there does; it can't have others.
Rule 3: after the run each variable is as it was before, or gone.
"""

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import define, field

from ...actors._current import current_context
from .errors import EnvVarsConflict

if TYPE_CHECKING:
    from ._hold import Hold
    from ._run import TaskRun

_WITHIN = "with variables"
_FIX = 'start it with with_runcontext(isolate="process"), which gives it a process of its own'


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
class _Running:
    """One run of this process."""

    name: str
    before: dict[str, str | None]
    """Its variables, with what they were before; empty if it has none."""
    within: "_Running | None"
    """The run with variables that it is started in."""


@define(eq=False)
class _Process:
    """The runs of this process, and the one of them that has variables."""

    running: list[_Running] = field(factory=list[_Running])
    alone: _Running | None = None
    guard: threading.Lock = field(factory=threading.Lock)

    def enter(self, name: str, variables: Mapping[str, str], within: _Running | None) -> _Running:
        with self.guard:
            self._check(name, variables, within)
            before = {key: os.environ.get(key) for key in variables}
            run = _Running(name, before, within)
            self.running.append(run)
            if variables:
                self.alone = run
                os.environ.update(variables)
        return run

    def _check(self, name: str, variables: Mapping[str, str], within: _Running | None) -> None:
        if variables and self.running:
            other = self.running[-1].name
            raise EnvVarsConflict(
                f"the run {name!r} has env_vars, and the run {other!r} goes on in this process, "
                f"which would see them; {_FIX}, or wait for the end of {other!r}"
            )
        if self.alone is not None and self.alone is not within:
            raise EnvVarsConflict(
                f"the run {self.alone.name!r} has env_vars, which the run {name!r} would see "
                f"in the same process; {_FIX}, or wait for the end of {self.alone.name!r}"
            )

    def leave(self, run: _Running) -> None:
        with self.guard:
            self.running.remove(run)
            if self.alone is run:
                self.alone = None
                for key, value in run.before.items():
                    if value is None:
                        os.environ.pop(key, None)
                    else:
                        os.environ[key] = value


_process = _Process()


def _after_fork() -> None:
    # The child of a fork runs none of its parent's runs; the lock may have been held.
    global _process
    _process = _Process()


os.register_at_fork(after_in_child=_after_fork)


@define(eq=False)
class InProcess:
    """Holds the process's environment for a run, besides what the run holds otherwise."""

    variables: Mapping[str, str] = field(repr=False)
    rest: "Hold"
    _running: _Running | None = field(default=None, init=False)

    def take(self, run: "TaskRun") -> None:
        """Set the variables.

        Raises:
            EnvVarsConflict: another run goes on; and what `rest` raises.
        """
        context = run.context
        within = _starter()
        running = _process.enter(context.run_name, self.variables, within)
        context.kept[_WITHIN] = running if self.variables else within
        try:
            self.rest.take(run)
        except BaseException:
            _process.leave(running)
            raise
        self._running = running

    def let_go(self, run: "TaskRun") -> BaseException | None:
        """Put the variables back; as of `rest`."""
        running, self._running = self._running, None
        try:
            return self.rest.let_go(run)
        finally:
            if running is not None:
                _process.leave(running)


def _starter() -> _Running | None:
    """Return the run with variables that goes on around this place."""
    context = current_context.get()
    if context is None or context.run_context is None:
        return None
    found: _Running | None = context.run_context.kept.get(_WITHIN)
    return found
