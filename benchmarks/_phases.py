"""What a graph costs before and while it runs: declaring it, checking it, executing it."""

from collections.abc import Callable
from time import process_time

import trouper


def time_phases(
    make: Callable[[], trouper.Workflow], execute: Callable[[trouper.Workflow], float]
) -> tuple[float, float, float]:
    """Return the seconds of processor time of each phase.

    Args:
        execute: executes the graph to its end, and returns the seconds of that.
    """
    begin = process_time()
    workflow = make()
    built = process_time()
    workflow.check()
    checked = process_time()
    workflow.check()
    check_again = process_time() - checked
    # Executing checks the graph once more; what is left is starting, running and stopping.
    return built - begin, checked - built, execute(workflow) - check_again
