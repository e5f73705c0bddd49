"""Which run an execution of a workflow belongs to: what `wf.execute` was given means."""

from typing import TYPE_CHECKING, Any

from attrs import frozen

from ...actors._run_context import RunContext

if TYPE_CHECKING:
    from ._open_run import OpenRun
    from ._run_start import RunStart

OPEN = "open run"
"""Where `RunContext.kept` has the `OpenRun` of a block that goes on."""


@frozen
class Begins:
    """An execution of a run begins and ends with the workflow."""

    start: "RunStart"


@frozen
class Joins:
    """The workflow runs within an execution that is open."""

    open_run: "OpenRun"


def which_run(
    run: Any, run_context: RunContext | None, given: dict[str, Any]
) -> Begins | Joins | None:
    """Return what is to be recorded; None: nothing is.

    Args:
        given: `profile_config` and `config`, those that are not None.

    Raises:
        ValueError: what was given contradicts itself; the text says what.
        TypeError: `run` is no run.
    """
    from ._run import Run
    from ._run_start import RunStart

    if run is None:
        joined = None if run_context is None else run_context.kept.get(OPEN)
        if joined is None:
            return None
        _refuse_config("run_context=", given)
        return Joins(joined)
    if run_context is not None:
        raise ValueError(
            f"run= and run_context= were both given: run={run!r} begins an execution, run_context= "
            f"joins that of {run_context.run_name!r}, which is open; give one of them"
        )
    if not isinstance(run, Run | RunStart):
        raise TypeError(f"run= takes a run, from experiment.run(), got {run!r}")
    _refuse_config("run=", given)
    return Begins(run.start() if isinstance(run, Run) else run)


def _refuse_config(beside: str, given: dict[str, Any]) -> None:
    if given:
        name = next(iter(given))
        raise ValueError(
            f"{beside} and {name}= were both given, and the configuration is part of what a run "
            "is; give it as profile_config to experiment.run() or run.start()"
        )
