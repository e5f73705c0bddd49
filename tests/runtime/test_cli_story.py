"""The closing report tells the whole story of a failure: child, attempt, message, last errors."""

import json
from collections.abc import Callable
from pathlib import Path

from harness.command import trouper_command, write

__all__ = ["trouper_command"]
Call = Callable[..., tuple[int, str, str]]

GIVES_UP = """
import trouper
wf = trouper.Workflow("w")
line = wf.group("line", max_restarts=1)

@line.actor
async def source(ctx):
    yield "a"

@line.actor(depends_on="source", max_attempts=None, backoff=trouper.Backoff(min=0, max=0))
async def work(ctx):
    async for n in ctx:
        raise OSError("no such device")
"""

GOES_ON = """
import trouper
wf = trouper.Workflow("w")

@wf.actor
async def source(ctx):
    yield "a"

@wf.actor(depends_on="source", restart_on={OSError: "resume"})
async def work(ctx):
    async for n in ctx:
        raise OSError("not this one")
"""


def test_json_tells_why_a_group_gave_up(trouper_command: Call, tmp_path: Path) -> None:
    """S10: who gave up over whom, in which attempt of which message, with the errors as text."""
    code, out, _ = trouper_command("run", write(tmp_path, GIVES_UP), "--json")
    report = json.loads(out)
    assert (code, report["status"]) == (1, "failed")
    group = report["groups"]["line"]
    assert (group["state"], group["members"]) == ("failed", ["source", "work"])
    [escalation] = group["escalations"]
    assert (escalation["member"], escalation["incarnation"], escalation["attempt"]) == (
        "work",
        2,
        2,
    )
    assert escalation["message"] == "source:1"
    assert [each["message"] for each in escalation["failures"]] == ["no such device"] * 2
    [letter] = report["dead_letters"]["last"]
    assert [(each["number"], each["node"]) for each in letter["attempts"]] == [
        (1, "work"),
        (2, "work"),
    ]
    assert all(each["failure"]["type"] == "OSError" for each in letter["attempts"])


def test_failures_that_ended_no_incarnation_are_not_counted_as_such(
    trouper_command: Call, tmp_path: Path
) -> None:
    """P13: what was answered by "resume" is told, and not as "0 failures"."""
    code, out, _ = trouper_command("run", write(tmp_path, GOES_ON))
    assert code == 0
    assert "work, went on after failures, the last: OSError: not this one" in out
