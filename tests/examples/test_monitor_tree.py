"""`examples/monitor_tree.py`: the story that its closing report tells."""

import subprocess
import sys

from harness.command import PATIENCE
from harness.programs import EXAMPLES

PROGRAM = EXAMPLES / "monitor_tree.py"


def run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return done.stdout


def test_the_report_tells_who_gave_up_and_what_became_of_it() -> None:
    """S10: child, incarnation, attempt, message, reason and the last errors."""
    said = run("trouper", "run", str(PROGRAM))
    assert "monitor-tree: completed" in said
    assert "group 'sensors' gave up over 'reader', incarnation 3, attempt 3 of message" in said
    assert "the members of group 'sensors' failed 3 times in 10 s" in said
    assert "OSError: garbage on line 2" in said
    row = next(line.split() for line in said.splitlines() if line.startswith("  sensors "))
    assert row == ["sensors", "rest_for_one", "monitor", "done", "3", "4", "2", "times"]


def test_check_names_the_groups_and_graph_draws_them() -> None:
    said = run("trouper", "check", str(PROGRAM))
    assert "  sensors  rest_for_one  monitor  connection, reader" in said.splitlines()
    drawn = run("trouper", "graph", str(PROGRAM))
    assert '        subgraph g1["sensors: rest_for_one"]' in drawn.splitlines()


def test_it_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout.splitlines()[-1] == "completed {'alarm': 'reading 4 is too high'}"
