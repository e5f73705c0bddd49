"""Cached tasks that tell what they were called with."""

from pathlib import Path
from typing import Any

import pytest

import trouper

env = trouper.TaskEnvironment("cached", cache="auto")
plain = trouper.TaskEnvironment("plain")


CALLS: list[Any] = []
"""What cached tasks were really called with."""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a workspace of its own in it, and no calls seen yet."""
    monkeypatch.chdir(tmp_path)
    CALLS.clear()


@env.task
async def double(n: int) -> int:
    """Tell that it was called."""
    CALLS.append(n)
    return n * 2


def run(task: Any, *args: Any, **parameters: Any) -> Any:
    """Return the one output of a run of the task."""
    (value,) = trouper.with_runcontext(**parameters).run(task, *args).outputs()
    return value


def use(ended: Any) -> tuple[int, int, int]:
    """Return how many results were found, computed, and not cached."""
    seen = ended.cache_use()
    return seen.hits, seen.computed, seen.not_cached
