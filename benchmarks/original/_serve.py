"""Answer requests for work on stdin, one JSON object a line. It imports nothing but Python's own.

Request: `["one_by_one", 300]`, a task and its arguments. Answer: the seconds that the run took.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO


def take_stdout() -> TextIO:
    """Return where answers go: what anybody prints from now on must not get between them."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def serve(
    answers: TextIO,
    tasks: Mapping[str, Any],
    run: Callable[..., int],
    about: Mapping[str, object],
) -> None:
    """Say what this is, then run tasks until stdin ends.

    Args:
        run: runs a task and returns its output, a count.
    """

    def say(answer: Mapping[str, object]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    say(about)
    for line in sys.stdin:
        name, *args = json.loads(line)
        wall, work = time.perf_counter(), time.process_time()
        output = run(tasks[name], *args)
        took = time.perf_counter() - wall
        say({"seconds": took, "processor": time.process_time() - work, "output": output})
