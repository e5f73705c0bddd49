"""After every test nothing is left of it (case X6); no test depends on the machine it runs on."""

import gc
import logging
import os
import random
import sys
import threading
import time
from collections.abc import Iterator, MutableSequence
from itertools import count, cycle
from pathlib import Path
from types import AsyncGeneratorType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

GRACE = 30.0
"""Seconds that a thread on its way out may take, and a file that it has open."""

STEERING = (
    "FORCE_COLOR",
    "NO_COLOR",
    "PYTHONDEVMODE",
    "PYTHONIOENCODING",
    "PYTHONOPTIMIZE",
    "PYTHONWARNINGS",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
)
"""What would make our output, or that of a process we start, another one."""

STAYING = ("TROUPER_EXPLORE", "TROUPER_SOAK", "TROUPER_WAKE_ORDER")
"""What steers the tests themselves."""

# The same examples each time, so that a run which passed passes everywhere; new ones are drawn
# with TROUPER_EXPLORE=1. Nothing is timed: a machine may be as slow as it likes.
settings.register_profile(
    "trouper",
    deadline=None,
    derandomize="TROUPER_EXPLORE" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("trouper")


class WakeOrder(random.Random):
    """Decides in trio's place in which order the tasks of one step wake.

    `pytest-trio` has trio sort them by when they became ready, and then shuffle.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        turns = {"forward": [False], "backward": [True], "alternate": [True, False]}
        self._is_turned = cycle(turns[name])

    def shuffle(self, x: MutableSequence[Any]) -> None:
        """Order the tasks of a step."""
        if next(self._is_turned):
            x.reverse()


@pytest.fixture(scope="session", autouse=True)
def _wake_order() -> Iterator[None]:
    """Hold what trio draws by lot to one order, with TROUPER_WAKE_ORDER=forward or the others.

    A test that hangs on the order fails in one of them each time, and not once in fifty runs.
    """
    with pytest.MonkeyPatch.context() as patch:
        if wanted := os.environ.get("TROUPER_WAKE_ORDER"):
            patch.setattr("trio._core._run._r", WakeOrder(wanted))
        yield


@pytest.fixture(scope="session", autouse=True)
def _thaw() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.fixture(scope="module", autouse=True)
def _cheap_collections(_thaw: None) -> None:
    """Keep what exists before a file's tests out of their collections: one takes a millisecond."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _same_surroundings() -> Iterator[None]:
    """Keep the caller's terminal and settings out of what is printed."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*STEERING, *filter(_is_setting, os.environ)]:
            patch.delenv(name, raising=False)
        patch.setenv("COLUMNS", "100")
        patch.setenv("LINES", "40")
        patch.setenv("TERM", "xterm-256color")
        yield


def _is_setting(name: str) -> bool:
    return name.startswith("TROUPER_") and not name.startswith(STAYING)


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Iterator[int]]:
    return tmp_path_factory.mktemp("homes"), count()


@pytest.fixture(autouse=True)
def a_workspace_of_its_own(
    _homes: tuple[Path, Iterator[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have what a test records in a folder that nobody else sees; it is made when it is needed."""
    folder, numbers = _homes
    monkeypatch.setenv("TROUPER_HOME", str(folder / str(next(numbers))))


@pytest.fixture(autouse=True)
def configuration_is_forgotten() -> Iterator[None]:
    """Undo `trouper.init`, which holds for the whole process."""
    yield
    settings_module = sys.modules.get("trouper.runtime.settings._init")
    if settings_module is not None:
        settings_module.forget()


@pytest.fixture(autouse=True)
def stalls_are_not_told() -> Iterator[None]:
    """Drop what the watchdog says of a loop that stalls: a busy machine makes any loop stall."""

    def is_ours(record: logging.LogRecord) -> bool:
        return record.module != "_watchdog"

    log = logging.getLogger("trouper")
    log.addFilter(is_ours)
    yield
    log.removeFilter(is_ours)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread, an open file or socket, or a suspended async generator.

    Tasks can't be left: `trio.run` waits for them. Leases are the ledger's: an edge that is not
    closed. Warnings are errors, those of the collector included: hence the collection.
    """
    threads = set(threading.enumerate())
    files = set(_open_files())
    generators = set(map(id, _suspended_generators()))
    yield
    attached = sys.modules.get("trouper.runtime.workspace._attached")
    if attached is not None:
        attached.close_idle()  # which stays open for the next run
    gc.collect()
    until = time.monotonic() + GRACE
    left = [repr(each) for each in _suspended_generators() if id(each) not in generators]
    left += _lasting_threads(threads, until)
    left += _lasting_files(files, until)
    if left:
        pytest.fail("the test leaves behind: " + ", ".join(left))


def _suspended_generators() -> list[object]:
    return [
        each
        for each in gc.get_objects()
        if isinstance(each, AsyncGeneratorType) and each.ag_frame is not None
    ]


def _lasting_threads(before: set[threading.Thread], until: float) -> list[str]:
    """Name the threads that would outlive the test. Idle daemon threads of trio are no harm."""
    made = set(threading.enumerate()) - before
    while True:
        # No join: one of trio's lives on for ten seconds, and is not called ours as soon as it is
        # idle.
        left = [
            each for each in made if each.is_alive() and (not each.daemon or "trouper" in each.name)
        ]
        if not left or time.monotonic() > until:
            return [f"thread {each.name!r}" for each in left]
        time.sleep(0.001)


def _lasting_files(before: set[int], until: float) -> list[str]:
    """Name the files that stay open. A daemon thread may be about to close one."""
    while True:
        after = _open_files()
        left = [f"{number} -> {after[number]}" for number in sorted(set(after) - before)]
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.01)


def _open_files() -> dict[int, str]:
    """Map descriptors to what they refer to; empty where the system doesn't tell."""
    found: dict[int, str] = {}
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            found[int(entry.name)] = os.readlink(entry)
        except OSError:  # the descriptor that listed the folder
            continue
    return found
