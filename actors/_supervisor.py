"""Keep children running: all the waiting, none of the thinking (see `_restart`)."""

import contextvars
import math
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn, Protocol

import trio

from ._cancelled import split_cancelled
from ._child import Child, TaskChild
from ._lifecycle import Event, State
from ._pool import Pool
from ._restart import (
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
        self._log = RestartLog()
        # Every incarnation starts from the context variables of the run, not of its predecessor.
        self._clean = contextvars.copy_context()
        self._pool = Pool(nursery, self._clean)

    def start(self, child: Child) -> None:
        """Start a child, or its next incarnation, at once."""
        if isinstance(child, TaskChild):
            self._pool.start(partial(self._run, child), child.name)
        else:
            self._clean.run(self._spawn, self._run, child)

    def _spawn(self, async_fn: Callable[..., Awaitable[None]], child: Child, *args: float) -> None:
        self._nursery.start_soon(async_fn, child, *args, name=child.name)

    async def _run(self, child: Child) -> None:
        if child.retired:
            child.move(Event.CANCEL)
            self._act(child, Done(), None)
            return
        try:
            await child.incarnate()
        except Exception as error:
            decision = self._decide(child)
            if isinstance(decision, Restart) and _is_cancelled():
                # Nothing starts again in a run that is being cancelled (case P2).
                child.move(Event.CANCEL)
            else:
                self._act(child, decision, error)
        except BaseException as error:
            # Cancelled, KeyboardInterrupt and their kind pass (case P8), or nothing could stop us.
            # Its neighbours are not told that its stream has ended: it has not, it was cut off.
            child.move(Event.CANCEL)
            _raise_fatal(error)
        else:
            decision = self._decide_return(child)
            vain = RestartedInVain(f"{child.name!r} returned without taking a message")
            self._act(child, decision, vain if isinstance(decision, GiveUp) else None)

    def _decide_return(self, child: Child) -> Decision:
        if child.state is State.CANCELLED:
            return Done()
        if child.state is State.RESTARTING:
            return Restart(0.0)
        # A body without a cancel point never hears of a cancel: it must not begin again for ever.
        may_go_on = child.may_go_on() and not _is_cancelled()
        if child.policy.restart == "permanent" and may_go_on and not child.has_progressed():
            # OTP counts such restarts too: a child that does nothing must not spin for ever.
            now = trio.current_time()
            child.streak += 1
            child.count_failure(now)
            return self._decide(child)
        return decide_exit(child.policy, may_go_on=may_go_on)

    def _decide(self, child: Child) -> Decision:
        return decide_failure(
            child.policy,
            child.counted,
            trio.current_time(),
            streak=child.streak,
            chance=self._rng.random(),
        )

    def _act(self, child: Child, decision: Decision, error: Exception | None) -> None:
        match decision:
            case Restart(delay):
                if child.state is not State.RESTARTING:
                    child.move(Event.RESTART)
                if error is not None:
                    self._log.say(child, error, delay, trio.current_time())
                if delay > 0:
                    self._clean.run(self._spawn, self._restart_later, child, delay)
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
        with trio.CancelScope() as child.scope:
            try:
                await trio.sleep(delay)
            except BaseException:
                child.move(Event.CANCEL)
                raise
            self.start(child)
            return
        self._act(child, Done(), None)


def _is_cancelled() -> bool:
    deadline: float = trio.current_effective_deadline()
    return deadline == -math.inf


def _raise_fatal(error: BaseException) -> NoReturn:
    """Raise what has to pass; failures that came along with a cancel are noted by then."""
    cancelled, rest = split_cancelled(error)
    if cancelled is not None and isinstance(rest, Exception):
        raise cancelled
    raise error
