"""After every test nothing is left of it (case X6)."""

import gc
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import AsyncGeneratorType

import pytest

GRACE = 1.0
"""Seconds that a thread on its way out may take."""


@pytest.fixture(scope="session", autouse=True)
def _cheap_collections() -> Iterator[None]:
    """Keep what exists before the tests out of every collection: one then takes a millisecond."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread, an open file or socket, or a suspended async generator.

    Tasks can't be left: `trio.run` waits for them. Leases are the ledger's: an edge that is not
    closed. Warnings are errors, those of the collector included: hence the collection.
    """
    threads = set(threading.enumerate())
    files = _open_files()
    generators = set(map(id, _suspended_generators()))
    yield
    gc.collect()
    left = [repr(each) for each in _suspended_generators() if id(each) not in generators]
    left += _lasting_threads(threads)
    after = _open_files()
    left += [f"{number} -> {after[number]}" for number in sorted(set(after) - set(files))]
    if left:
        pytest.fail("the test leaves behind: " + ", ".join(left))


def _suspended_generators() -> list[object]:
    return [
        each
        for each in gc.get_objects()
        if isinstance(each, AsyncGeneratorType) and each.ag_frame is not None
    ]


def _lasting_threads(before: set[threading.Thread]) -> list[str]:
    """Name the threads that would outlive the test. Idle daemon threads of trio are no harm."""
    until = time.monotonic() + GRACE
    found = [
        thread
        for thread in set(threading.enumerate()) - before
        if not thread.daemon or "trouper" in thread.name
    ]
    for thread in found:
        thread.join(max(0.0, until - time.monotonic()))
    return [f"thread {thread.name!r}" for thread in found if thread.is_alive()]


def _open_files() -> dict[int, str]:
    """Map descriptors to what they refer to; empty where the system doesn't tell."""
    found: dict[int, str] = {}
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            found[int(entry.name)] = os.readlink(entry)
        except OSError:  # the descriptor that listed the folder
            continue
    return found
