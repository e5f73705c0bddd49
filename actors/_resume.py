"""What `restart_on` does to the message in hand: a failure that is no restart gives it up."""

from typing import TYPE_CHECKING

from ._failure import FailureSummary, summarize
from ._mailbox import Mailbox
from ._rejected import origin_of

if TYPE_CHECKING:
    from ._child import ActorChild
    from ._record import Keeper


def gives_up_message(child: "ActorChild", box: Mailbox, summary: FailureSummary) -> bool:
    """Make the message in hand a dead letter, if the verdict is "resume" or "stop".

    Of a batch nobody knows which one was at fault: its messages come again, each by itself.
    """
    verdict, leased = child.verdict, box.leased
    if verdict is None or leased is None or box.batch:
        return False
    if verdict.answer not in ("resume", "stop"):
        return False
    box.fail(leased, summary, give_up="resumed" if verdict.answer == "resume" else "stopped")
    box.put_down((leased,))
    return True


def resumes(child: "ActorChild", error: BaseException, keeper: "Keeper") -> bool:
    """Return whether the body goes on with the next message.

    Only with a message in hand: one that goes on without having taken any might never end.
    """
    box = child.mailbox
    leased = box.leased
    if leased is None or not isinstance(error, Exception):
        return False
    child.judge(error)
    if child.verdict is None or child.verdict.answer != "resume":
        return False
    summary = summarize(error)
    child.attempt, child.failed_over = leased.attempt, origin_of(leased)
    if not gives_up_message(child, box, summary):
        box.reject(summary)
    child.verdict = None
    child.keep_failure(summary)
    keeper.resumed(child, summary)
    return True
