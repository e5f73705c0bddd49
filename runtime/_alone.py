"""Which runs go on in this process, and whether one of them has environment variables of its own.

`os.environ` is one for the whole process, so such a run is alone in it: beside another one either
would see what is not its own.

Rule 1: whichever of two runs begins second is refused, with the names of both.
Rule 2: a run that is started inside of one with variables sees them, as a program that is started
there does; it can't have others.
Rule 3: after the run each variable is as it was before, or gone.
"""

import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from attrs import define, field

from ..actors._current import current_context
from ..actors._run_context import RunContext
from .tasks.errors import EnvVarsConflict

WITHIN = "with variables"
"""Where `RunContext.kept` has the run with variables that it is, or is started in."""


@define(eq=False)
class Running:
    """One run of this process."""

    name: str
    before: dict[str, str | None]
    """Its variables, with what they were before; empty if it has none."""
    within: "Running | None"
    """The run with variables that it is started in."""


@define(eq=False)
class _Process:
    """The runs of this process, and the one of them that has variables."""

    running: list[Running] = field(factory=list[Running])
    alone: Running | None = None
    guard: threading.Lock = field(factory=threading.Lock)

    def enter(self, name: str, variables: Mapping[str, str], within: Running | None) -> Running:
        with self.guard:
            self._check(name, variables, within)
            before = {key: os.environ.get(key) for key in variables}
            run = Running(name, before, within)
            self.running.append(run)
            if variables:
                self.alone = run
                os.environ.update(variables)
        return run

    def _check(self, name: str, variables: Mapping[str, str], within: Running | None) -> None:
        if variables and self.running:
            other = self.running[-1].name
            raise EnvVarsConflict(
                f"the run {name!r} has env_vars, and the run {other!r} goes on in this process, "
                f"which would see them; {_fix(name)}, or wait for the end of {other!r}"
            )
        if self.alone is not None and self.alone is not within:
            raise EnvVarsConflict(
                f"the run {self.alone.name!r} has env_vars, which the run {name!r} would see "
                f"in the same process; {_fix(self.alone.name)}, or wait for its end"
            )

    def leave(self, run: Running) -> None:
        with self.guard:
            self.running.remove(run)
            if self.alone is run:
                self.alone = None
                for key, value in run.before.items():
                    if value is None:
                        os.environ.pop(key, None)
                    else:
                        os.environ[key] = value


def _fix(name: str) -> str:
    isolated = 'with_runcontext(isolate="process")'
    return f"start {name!r} with {isolated}, which gives it a process of its own"


_process = _Process()


def _after_fork() -> None:
    # The child of a fork runs none of its parent's runs; the lock may have been held.
    global _process
    _process = _Process()


os.register_at_fork(after_in_child=_after_fork)


def enter(name: str, variables: Mapping[str, str], within: Running | None) -> Running:
    """Note that a run goes on, and set its variables.

    Raises:
        EnvVarsConflict: another one goes on, and either has variables.
    """
    return _process.enter(name, variables, within)


def leave(run: Running) -> None:
    """Note that it has ended, and put the variables back."""
    _process.leave(run)


@contextmanager
def among_runs(context: RunContext) -> Generator[None, None, None]:
    """Note that a graph runs while the block goes on, by itself and not as the work of a runner.

    Raises:
        EnvVarsConflict: as of `enter`; nothing has run.
    """
    within = starter()
    running = enter(context.run_name, {}, within)
    if within is not None:  # what its nodes start is within that one too
        context.kept[WITHIN] = within
    try:
        yield
    finally:
        leave(running)


def starter() -> Running | None:
    """Return the run with variables that goes on around this place."""
    context = current_context.get()
    if context is None or context.run_context is None:
        return None
    found: Running | None = context.run_context.kept.get(WITHIN)
    return found
