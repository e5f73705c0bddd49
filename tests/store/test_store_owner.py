"""Whether another process is alive: known, or not known, and never guessed (F21)."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trouper.runtime.store import _owner
from trouper.runtime.store._owner import (
    BEAT,
    SILENCE,
    Owner,
    birth,
    judge,
    liveness,
    this_host,
    this_process,
)

ME = Owner("here", 7, "100")


@pytest.mark.parametrize(
    ("born", "expected"),
    [("100", "alive"), ("101", "dead"), (None, "dead")],
    ids=["it is there", "another process has its id", "nobody has its id"],
)
def test_on_the_same_host_the_birth_decides_and_the_clock_never(
    born: str | None, expected: str
) -> None:
    for now in (-1e9, 0.0, 1e9):
        assert judge(ME, 0.0, now, host="here", born=born) == expected


@pytest.mark.parametrize(
    ("silent", "expected"),
    [
        (0.0, "alive"),
        (2 * BEAT, "alive"),
        (2 * BEAT + 1, "unknown"),
        (SILENCE, "unknown"),
        (SILENCE + 1, "dead"),
        (-10.0, "alive"),
        (-SILENCE, "unknown"),
    ],
)
def test_of_another_host_only_the_heartbeat_is_known(silent: float, expected: str) -> None:
    assert judge(ME, 1000.0, 1000.0 + silent, host="there", born="100") == expected


@given(st.floats(-1e6, 1e6), st.floats(-1e6, SILENCE))
def test_no_clock_that_is_early_kills_a_process_on_another_host(beat: float, gap: float) -> None:
    assert judge(ME, beat, beat + gap, host="there", born=None) != "dead"


def test_this_process_is_alive_and_another_with_its_id_was_not() -> None:
    me = this_process()
    assert liveness(me, 0.0, 1e9) == "alive"
    assert liveness(Owner(me.host, me.pid, f"{me.born}0"), 0.0, 0.0) == "dead"


def test_a_process_that_has_ended_is_dead_before_its_parent_has_noticed() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        born = birth(process.pid)
        assert born is not None
        owner = Owner(this_host(), process.pid, born)
        assert liveness(owner, 0.0, 0.0) == "alive"
        process.kill()
        # Tells of the end without taking notice of it: the process stays a zombie.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert liveness(owner, 0.0, 0.0) == "dead"
    finally:
        process.communicate()
    assert liveness(owner, 0.0, 0.0) == "dead"


def test_where_there_is_no_proc_ps_tells_the_same() -> None:
    started = _owner._birth_by_ps(os.getpid())
    assert started
    assert started == _owner._birth_by_ps(os.getpid())
    assert _owner._birth_by_ps(2**22 + 1) is None
