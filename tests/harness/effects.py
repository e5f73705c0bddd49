"""What a run shows of the parameters that it was given: for the table of the page's parameters."""

import io
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import field, frozen

import trouper
from harness.logs import Kept, root_logger

Given = Mapping[str, Any]
"""Parameters of `with_runcontext`."""


@frozen
class Effect:
    """One parameter, and what is seen without it and with it."""

    parameter: str
    value: Any
    observe: Callable[[Given], Any]
    without: Any
    expected: Any
    beside: Given = field(factory=dict[str, Any])
    """What is given in both cases."""


def in_a_task(look: Callable[[Any], Any]) -> Callable[[Given], Any]:
    """Return what gives `look(ctx())`, called in a task of a run with the parameters."""

    def observe(given: Given) -> Any:
        seen: list[Any] = []

        @trouper.TaskEnvironment("effects").task
        def probe() -> None:
            seen.append(look(trouper.ctx()))

        trouper.with_runcontext(**given).run(probe)
        return seen[0]

    return observe


class _Tally:
    """Counts; its count is no part of the code that names it."""

    count = 0


def of_first_action(field: str) -> Callable[[Given], Any]:
    """Return what gives a field of the report of a run's first action."""

    def observe(given: Given) -> Any:
        @trouper.TaskEnvironment("effects").task
        async def probe() -> None: ...

        return getattr(trouper.with_runcontext(**given).run(probe).actions(), field)

    return observe


def calls_of_a_cached_task(given: Given) -> int:
    """Return how often the body runs of a task that a run before has cached."""
    tally = _Tally()

    @trouper.TaskEnvironment("effects").task(cache="auto")
    async def cached() -> None:
        tally.count += 1

    trouper.with_runcontext().run(cached)
    tally.count = 0
    trouper.with_runcontext(**given).run(cached)
    return tally.count


def of_action(field: str) -> Callable[[Given], Any]:
    return in_a_task(lambda context: getattr(context.action, field))


def of_context(field: str) -> Callable[[Given], Any]:
    return in_a_task(lambda context: getattr(context, field))


def of_run(field: str) -> Callable[[Given], Any]:
    return in_a_task(lambda context: getattr(context.run_context, field))


def _logs(context: Any) -> None:
    logging.getLogger("effects").debug("low")
    logging.getLogger("effects").warning("high")


def levels_logged(given: Given) -> list[str]:
    kept = Kept()
    with root_logger(kept):
        in_a_task(_logs)(given)
    return [each.levelname for each in kept.records]


def first_of_a_printed_line(given: Given) -> str:
    printed = io.StringIO()
    with root_logger(), redirect_stderr(printed):
        in_a_task(_logs)(given)
    return "{" if printed.getvalue().startswith("{") else "text"


def root_logger_changes(given: Given) -> bool:
    with root_logger():
        before = list(logging.getLogger().handlers)
        during = in_a_task(lambda context: list(logging.getLogger().handlers))(given)
    return bool(during != before)


def version_is_computed(given: Given) -> bool:
    """Tell whether it is the hash of a bundle."""
    version: str = of_context("version")(given)
    return len(version) == 20 and set(version) <= set("0123456789abcdef")


def base_dir(given: Given) -> str:
    """Return the run's base directory; "made up" if nobody has given it one."""
    found: str = of_context("run_base_dir")(given)
    return "made up" if Path(found).parent.name == "base" else found


def raw_data(given: Given) -> str:
    """Return where the run's data goes; "made up" if nobody has said."""
    found: str = of_context("raw_data_path")(given)
    return "made up" if Path(found) == Path(os.environ["TROUPER_HOME"]) / "raw" else found


def type_of_a_frame(given: Given) -> str:
    """Return whose data frame a run gives back that was given one of pandas."""
    import pandas

    @trouper.TaskEnvironment("effects").task
    def hand_back(frame: Any) -> Any:
        return frame

    with TemporaryDirectory() as raw:
        runner = trouper.with_runcontext(raw_data_path=raw, **given)
        [output] = runner.run(hand_back, pandas.DataFrame({"n": [1]})).outputs()
    return type(output).__module__.partition("._")[0]


def executes(given: Given) -> bool:
    """Tell whether the task is called at all."""
    called: list[None] = []

    @trouper.TaskEnvironment("effects").task
    async def probe() -> None:
        called.append(None)

    with redirect_stderr(io.StringIO()):
        trouper.with_runcontext(**given).run(probe)
    return bool(called)


def leaves(name: str) -> Callable[[Given], bool]:
    """Return what tells whether a run leaves a file of that name in the current folder."""

    def observe(given: Given) -> bool:
        executes(given)
        return Path(name).is_file()

    return observe
