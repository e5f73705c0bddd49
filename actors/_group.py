"""A group of supervised members: all the waiting for `_strategy`, which does the thinking.

A group costs a task only while it starts, stops or mends something. Mailboxes and edges of its
members outlive all that (cases K1, X10); they end when a member has ended for good.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, Protocol

import trio
from attrs import define, field

from ._cancelled import is_cancelled
from ._child import ActorChild, Child
from ._escalation import Escalation, Failure, tell
from ._group_policy import GroupPolicy
from ._group_worker import Worker
from ._lifecycle import Event, State
from ._restart import Done, GiveUp, Restart, RestartedInVain, times_of
from ._strategy import Agenda, Standing, shuts_down, too_often
from ._supervisor import Supervisor

GroupState = Literal["waiting", "running", "restarting", "stopping", "done", "failed"]
KEPT_ESCALATIONS = 5


class GroupOverseer(Protocol):
    """Who is told what concerns the whole run."""

    def child_ended(self, child: Child) -> None: ...

    def is_ending(self) -> bool:
        """Return whether the run drains, or has ended: then no end of a member is its own."""
        ...

    def group_failed(self, failure: Failure) -> None:
        """A group without a group around it has given up; all of its members have stopped."""
        ...


@define(eq=False)
class Group:
    """The supervisor of its members. Everything but `_work` decides at once, and never waits."""

    name: str
    policy: GroupPolicy
    supervisor: Supervisor
    overseer: GroupOverseer
    parent: "Group | None" = None
    members: list["Child | Group"] = field(factory=list["Child | Group"])
    """In start order."""
    state: GroupState = "waiting"
    incarnation: int = 0
    """How many times it was started."""
    restarts: int = 0
    """Failures of members that were answered by a restart."""
    gave_up: int = 0
    """How many times."""
    escalations: tuple[Escalation, ...] = ()
    """The last few, oldest first."""
    _places: dict["Child | Group", int] = field(factory=dict["Child | Group", int])
    _significant: set[int] = field(factory=set[int])
    """Places of significant members that have not ended."""
    _left: int = 0
    """Members that have not ended."""
    _agenda: Agenda = field(init=False)
    _counted: list[float] = field(factory=list[float])
    """When failures happened that count, seconds on trio's clock, oldest first."""
    _worker: "Worker[Child | Group]" = field(init=False)
    _launched: bool = False
    _then: Callable[[], None] | None = None
    """What comes when all members have stopped."""
    _failure: Failure | None = None

    def __attrs_post_init__(self) -> None:
        self._agenda = Agenda(self.policy.strategy)
        spawn = partial(self.supervisor.spawn, f"group {self.name}")
        self._worker = Worker(self._agenda, self.members, self, spawn)

    def add(self, member: "Child | Group", *, significant: bool = False) -> None:
        """Add a member; all are added before anything starts."""
        place = self._places[member] = len(self.members)
        self.members.append(member)
        self._left += 1
        if significant:
            self._significant.add(place)
        if isinstance(member, Child):
            member.boss = self
        self._agenda.add(temporary=member.policy.restart == "temporary")

    # -- as a member of the group around it --------------------------------------------------

    def launch(self) -> None:
        """Start the members whose inputs stand, and those that were stopped, in order."""
        self._launched = True
        self.incarnation += 1
        self.state = "restarting" if self.incarnation > 1 else "running"
        self._counted.clear()
        for member in self.members:
            if isinstance(member, Child):
                member.forgive()
        self._failure = self._then = None
        self._worker.deadline = math.inf
        self._agenda.reopen()
        self._worker.kick()

    def halt(self) -> None:
        """Stop all members, to be launched again; `member_stopped` tells the parent.

        One that is giving up stops for its parent's sake from now on; one that ends for good does.
        """
        if self._then is None:
            self._close(self._halted)
        elif self._then == self._give_up:
            self._then = self._halted

    def cut(self) -> None:
        """Its time to stop is up: stop what is left at once, all side by side."""
        self._worker.cut()

    def let_go(self, state: GroupState) -> None:
        """End for good, all members being stopped: their outputs end, the last one's first."""
        for child in reversed(list(self._abandon(state))):
            self._end(child)

    def _abandon(self, state: GroupState) -> Iterator[Child]:
        for place, member in enumerate(self.members):
            if self._agenda.standing[place] is Standing.GONE:
                continue
            self._agenda.end(place)
            if isinstance(member, Group):
                yield from member._abandon("done")
            else:
                member.move(Event.CANCEL)
                yield member
        self.state = state

    # -- what members say --------------------------------------------------------------------

    def admit(self, member: "Child | Group") -> None:
        """Start a member, whose inputs stand now, when its turn comes."""
        self._agenda.admit(self._places[member])
        if self._launched:
            self._worker.kick()
        elif self.parent is not None:
            self.parent.admit(self)
        else:
            self.launch()

    def child_ready(self, child: Child) -> None:
        self._has_started(child)

    def child_failed(self, child: Child, error: Exception) -> None:
        place = self._has_started(child)
        if child.halted or self._agenda.closing:
            self._stopped(place, child)  # while it stopped; the failure is recorded
            return
        decision = self.supervisor.decide(child)
        if isinstance(decision, Restart) and is_cancelled():
            child.move(Event.CANCEL)  # nothing starts again in a run that is cancelled (case P2)
        elif isinstance(decision, Restart):
            self._answer(place, child, decision, error)
        elif isinstance(decision, Done):
            child.end()
            self._end(child)
            self._gone(place, by_itself=True)
        elif child.policy.restart == "temporary" and isinstance(child, ActorChild):
            # OTP's rule (S1): nobody is stopped for it. Its neighbours are told, it is recorded.
            child.fail(error)
            self.supervisor.log.say_gone(child, error, self.name)
            self._end(child)
            self._gone(place, by_itself=True)
        else:
            self._escalate(place, child, error, decision.reason)

    def child_returned(self, child: Child) -> None:
        place = self._has_started(child)
        has_ended = child.state is State.CANCELLED or (
            child.state is State.DONE and not child.may_go_on()
        )
        if (child.halted or self._agenda.closing) and not has_ended:
            self._stopped(place, child)
            return
        expired = child.state is State.RESTARTING
        decision = self.supervisor.decide_return(child)
        if isinstance(decision, GiveUp):
            self._escalate(place, child, RestartedInVain.by(child.name), decision.reason)
        elif isinstance(decision, Restart) and expired:
            self.supervisor.act(child, decision, None)  # the message was late: nobody has failed
        elif isinstance(decision, Restart):
            # In vain is a failure to the group too.
            reason = "" if child.has_progressed() else self._too_many(trio.current_time())
            if reason:
                self._escalate(place, child, RestartedInVain.by(child.name), reason)
            else:
                self._answer(place, child, decision, None)
        else:
            self._end(child)
            # Told to end by the run, or the run itself drains: no reason to stop others (S14).
            told = child.was_told_to_end() or self.overseer.is_ending()
            self._gone(place, by_itself=not told)

    def child_broken_off(self, child: Child) -> None:
        """With it the run ends, and this group: there is nothing to do."""

    def child_retired(self, child: Child) -> None:
        place = self._places[child]
        if self._agenda.standing[place] is Standing.DOWN:
            child.move(Event.CANCEL)
            self._end(child)
            self._gone(place, by_itself=False)

    def count_failure(self, now: float) -> None:
        """Let a failure count; forget those older than the period."""
        oldest = now - self.policy.period
        if self._counted and self._counted[0] < oldest:
            self._counted = [at for at in self._counted if at >= oldest]
        self._counted.append(now)

    def stop_clock(self, seconds: float) -> None:
        """Don't let failures grow older by the time that stops take (case S19)."""
        self._counted = [at + seconds for at in self._counted]

    def member_ready(self, group: "Group") -> None:
        self._has_started(group)

    def member_stopped(self, group: "Group") -> None:
        self._agenda.stopped(self._has_started(group))
        self._worker.say()

    def member_gone(self, group: "Group") -> None:
        self._gone(self._has_started(group), by_itself=True)

    def member_failed(self, group: "Group", failure: Failure) -> None:
        """A group in this one has given up, and its members have stopped."""
        place = self._has_started(group)
        if self._agenda.closing:
            self._agenda.stopped(place)
            self._worker.say()
        elif group.policy.restart == "temporary":
            group.let_go("failed")
            self._gone(place, by_itself=True)
        else:
            now = trio.current_time()
            self.count_failure(now)
            reason = self._too_many(now)
            if reason:
                self._pass_on(place, group, failure, reason)
            else:
                self.restarts += 1
                self._mend(place, now)

    # -- deciding ----------------------------------------------------------------------------

    def _answer(self, place: int, child: Child, decision: Restart, error: Exception | None) -> None:
        now = trio.current_time()
        reason = self._too_many(now) if error is not None else ""
        if error is not None and reason:
            self._escalate(place, child, error, reason)
            return
        self.restarts += 1
        if self.policy.strategy == "one_for_one":
            self.supervisor.act(child, decision, error)
            return
        child.lie_down()
        if error is not None:
            self.supervisor.log.say(child, error, decision.delay, now)
        self._mend(place, now + decision.delay)

    def _mend(self, place: int, due: float) -> None:
        self.state = "restarting"
        self._agenda.fail(place, due)
        self._worker.kick()

    def _too_many(self, now: float) -> str:
        most, period = self.policy.max_restarts, self.policy.period
        times = too_often(self._counted, now, most, period)
        if not times:
            return ""
        return (
            f"the members of group {self.name!r} failed {times_of(times)} in {period:g} s; fix the "
            f"cause, or allow more than max_restarts={most}"
        )

    def _escalate(self, place: int, child: Child, error: Exception, reason: str) -> None:
        child.lie_down()
        told = tell(self.name, child, reason, self.supervisor.seconds())
        self._go_up(place, Failure(child, error, (told,)))

    def _pass_on(self, place: int, group: "Group", failure: Failure, reason: str) -> None:
        told = Escalation(
            group=self.name,
            member=group.name,
            incarnation=group.incarnation,
            attempt=0,
            message="",
            reason=reason,
            at=self.supervisor.seconds(),
        )
        trail = (*failure.trail, told)
        self._go_up(place, Failure(failure.child, failure.error, trail))

    def _go_up(self, place: int, failure: Failure) -> None:
        self._failure = failure
        self.gave_up += 1
        self.escalations = (*self.escalations, failure.trail[-1])[-KEPT_ESCALATIONS:]
        self.supervisor.log.say_escalation(failure.trail[-1])
        self._agenda.end(place)  # it has stopped already
        self._close(self._give_up)
        self._agenda.stopped(place)

    # -- what the worker asks for ------------------------------------------------------------

    def launch_member(self, place: int) -> None:
        member = self.members[place]
        if isinstance(member, Group):
            member.launch()
        else:
            member.halted = member.hurried = False
            self.supervisor.start(member)

    def rest(self) -> None:
        """All is stopped, or started, that had to be."""
        if self._then is not None:
            self._then()
        elif not self._left:  # the last ones ended while the group was to be stopped for another
            if self.state != "done":
                self._finish()
        else:
            self.state = "running"
            if self.parent is not None:
                self.parent.member_ready(self)

    def _halted(self) -> None:
        assert self.parent is not None
        self.parent.member_stopped(self)

    def _give_up(self) -> None:
        assert self._failure is not None
        if self.parent is None:
            self.state = "failed"
            self.overseer.group_failed(self._failure)
        else:
            self.parent.member_failed(self, self._failure)

    def _shut_down(self) -> None:
        self.let_go("done")
        self._finish()

    def _finish(self) -> None:
        self.state = "done"
        if self.parent is not None:
            self.parent.member_gone(self)

    # -- inner parts -------------------------------------------------------------------------

    def _close(self, then: Callable[[], None]) -> None:
        self.state = "stopping"
        self._then = then
        self._worker.deadline = trio.current_time() + self.policy.shutdown
        self._agenda.close()
        self._worker.kick()

    def _has_started(self, member: "Child | Group") -> int:
        self._worker.has_started(member)
        return self._places[member]

    def _stopped(self, place: int, child: Child) -> None:
        child.lie_down()
        self._agenda.stopped(place)
        if self._agenda.standing[place] is Standing.GONE:
            child.move(Event.CANCEL)
            self._end(child)
            self._gone(place, by_itself=False)
        self._worker.say()

    def _end(self, child: Child) -> None:
        child.close()
        self.overseer.child_ended(child)

    def _gone(self, place: int, *, by_itself: bool) -> None:
        self._agenda.end(place)
        significant = place in self._significant
        self._significant.discard(place)
        self._left -= 1
        self._worker.say()
        if self._agenda.closing:
            return
        auto, others = self.policy.auto_shutdown, len(self._significant)
        if by_itself and shuts_down(auto, significant=significant, others=others):
            self._close(self._shut_down)
        elif not self._left:
            self._finish()
