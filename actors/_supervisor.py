"""Keep children running: all the waiting, none of the thinking (see `_restart`)."""

import contextvars
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn, Protocol

import trio

from ._cancelled import is_cancelled, split_cancelled
from ._child import Child, TaskChild
from ._failure import FailureSummary
from ._lifecycle import Event, State
from ._pool import Pool
from ._restart import (
    DONE,
    Decision,
    Done,
    GiveUp,
    Restart,
    RestartedInVain,
    decide_exit,
    decide_failure,
)
from ._restart_log import RestartLog


class Overseer(Protocol):
    """Who a supervisor reports to."""

    def child_ended(self, child: Child) -> None:
        """The child has done its work; its neighbours have been told."""
        ...

    def child_failed(self, child: Child, error: Exception, reason: str) -> None:
        """The child is given up. Its neighbours have not been told: its stream was cut off."""
        ...


class Supervisor:
    """One for one: each child is restarted by itself, as its policy says, in one nursery."""

    def __init__(
        self, nursery: trio.Nursery, overseer: Overseer, *, rng: random.Random | None = None
    ) -> None:
        self._nursery = nursery
        self._overseer = overseer
        self._rng = rng or random.Random()
        self.log = RestartLog()
        self._began = trio.current_time()
        # Every incarnation starts from the context variables of the run, not of its predecessor.
        self._clean = contextvars.copy_context()
        self._pool = Pool(nursery, self._clean)

    def start(self, child: Child) -> None:
        """Start a child, or its next incarnation, at once."""
        # What the pool has not begun when the run is cancelled never begins: nobody waits for it.
        if isinstance(child, TaskChild) and child.boss is None:
            self._pool.start(partial(child.incarnate, self), child.name)
        else:
            self._clean.run(self._spawn, child.name, child.incarnate, self)

    def spawn(self, name: str, async_fn: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run a function in a task of the run, from the context variables of the run."""
        self._clean.run(self._spawn, name, async_fn, *args)

    def seconds(self) -> float:
        """Return how long the run has gone on."""
        return trio.current_time() - self._began

    def _spawn(self, name: str, async_fn: Callable[..., Awaitable[None]], *args: object) -> None:
        self._nursery.start_soon(async_fn, *args, name=name)

    # -- what an incarnation says when it ends -----------------------------------------------

    def failed(self, child: Child, error: Exception) -> None:
        if child.retired:
            # It was told to end for good. What its clean-up raised is on its record, that is all.
            child.move(Event.CANCEL)
            self.returned(child)
            return
        if child.boss is not None:
            child.boss.child_failed(child, error)
            return
        decision = self.decide(child)
        if isinstance(decision, Restart) and is_cancelled():
            # Nothing starts again in a run that is being cancelled (case P2).
            child.move(Event.CANCEL)
            return
        if isinstance(decision, Done):
            child.end()
        self.act(child, decision, error)

    def broken_off(self, child: Child, error: BaseException) -> NoReturn:
        # Cancelled, KeyboardInterrupt and their kind pass (case P8), or nothing could stop us.
        # Its neighbours are not told that its stream has ended: it has not, it was cut off.
        child.move(Event.CANCEL)
        if child.boss is not None:
            child.boss.child_broken_off(child)
        _raise_fatal(error)

    def resumed(self, child: Child, failure: FailureSummary) -> None:
        self.log.say_resumed(child, failure, trio.current_time())

    def returned(self, child: Child) -> None:
        if child.boss is not None:
            child.boss.child_returned(child)
            return
        decision = self.decide_return(child)
        if decision is DONE:
            child.close()
            self._overseer.child_ended(child)
            return
        vain: Exception | None = None
        if isinstance(decision, GiveUp):
            vain = RestartedInVain.by(child.name)
        self.act(child, decision, vain)

    # -- deciding, and doing it --------------------------------------------------------------

    def decide_return(self, child: Child) -> Decision:
        """Return what to do about a child that came to its end, or whose own cancel was caught."""
        if child.state is State.CANCELLED:
            return DONE
        if child.state is State.RESTARTING:
            return Restart(0.0)
        if child.policy.restart != "permanent":
            return decide_exit(child.policy, may_go_on=False)
        # A body without a cancel point never hears of a cancel: it must not begin again for ever.
        may_go_on = child.may_go_on() and not is_cancelled()
        if may_go_on and not child.has_progressed():
            # OTP counts such restarts too: a child that does nothing must not spin for ever.
            now = trio.current_time()
            child.lengthen_streak(now)
            child.count_failure(now)
            return self.decide(child)
        return decide_exit(child.policy, may_go_on=may_go_on)

    def decide(self, child: Child) -> Decision:
        """Return what to do about a child that failed."""
        verdict, child.verdict = child.verdict, None
        return decide_failure(
            child.policy,
            child.counted,
            trio.current_time(),
            streak=child.streak,
            chance=self._rng.random(),
            verdict=verdict,
        )

    def act(self, child: Child, decision: Decision, error: Exception | None) -> None:
        """Do to one child what was decided."""
        match decision:
            case Restart(delay):
                if child.state is not State.RESTARTING:
                    child.move(Event.RESTART)
                if error is not None:
                    self.log.say(child, error, delay, trio.current_time())
                if delay > 0:
                    self.spawn(child.name, self._restart_later, child, delay)
                else:
                    self.start(child)
            case GiveUp(reason) if error is not None:
                child.move(Event.GIVE_UP)
                child.error = error
                self._overseer.child_failed(child, error, reason)
            case _:
                child.close()
                self._overseer.child_ended(child)

    async def _restart_later(self, child: Child, delay: float) -> None:
        try:
            with trio.CancelScope() as child.scope:
                try:
                    await trio.sleep(delay)
                except BaseException:
                    if not child.halted:
                        child.move(Event.CANCEL)
                    raise
                self.start(child)
                return
        except BaseException:  # cancelled with the run
            if child.boss is not None:
                child.boss.child_broken_off(child)
            raise
        if child.boss is None:
            self.act(child, DONE, None)
            return
        child.boss.child_returned(child)


def _raise_fatal(error: BaseException) -> NoReturn:
    """Raise what has to pass; failures that came along with a cancel are noted by then."""
    cancelled, rest = split_cancelled(error)
    if cancelled is not None and isinstance(rest, Exception):
        raise cancelled
    raise error
