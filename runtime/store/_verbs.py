"""Which runs may be begun how (F21): the table, and the words for what it refuses.

Rule 1: *start* takes a run that never began. *resume* takes one that failed or was cancelled, and
keeps what it has finished. *rerun* takes any that has ended, from the top.
Rule 2: no verb takes a live run.
"""

from collections.abc import Mapping
from typing import Literal

Verb = Literal["start", "resume", "rerun", "again"]
"""`again` is for runs known by a name alone, `with_runcontext(name=...)`: begin, or begin anew."""
Before = Literal["pending", "completed", "failed", "cancelled"]
"""The phase of a run that is not alive."""

TAKES: Mapping[Verb, frozenset[Before]] = {
    "start": frozenset({"pending"}),
    "resume": frozenset({"failed", "cancelled"}),
    "rerun": frozenset({"completed", "failed", "cancelled"}),
    "again": frozenset({"pending", "completed", "failed", "cancelled"}),
}


def refusal(verb: Verb, before: Before, name: str) -> str | None:
    """Return why a run in this phase can't be begun so, and how it can; None: it can."""
    if before in TAKES[verb]:
        return None
    if before == "pending":
        return f"the run {name!r} never began, so there is nothing to {verb}; use run.start()"
    state = "has completed" if before == "completed" else f"has {before}"
    state = "was cancelled" if before == "cancelled" else state
    if verb == "resume":
        return f"the run {name!r} {state}; run.rerun() does it again from the top"
    kept = "run.resume() goes on and keeps what it has finished, "
    again = "run.rerun() does it again from the top"
    return f"the run {name!r} {state}; {'' if before == 'completed' else kept}{again}"
