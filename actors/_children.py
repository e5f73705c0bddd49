"""The children of one actor: they come and go, and end with the incarnation that spawned them.

They stop side by side. Nothing is kept of one that has ended (case S18).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from ._cancelled import is_cancelled
from ._failure import shown
from ._lifecycle import Event
from ._record import Child
from ._restart import Done, GiveUp, Restart, RestartedInVain
from ._spawning import ChildFailed, SpawnRefused
from ._supervisor import Supervisor

if TYPE_CHECKING:
    from ._child import ActorChild


_AT_ONCE = 32
"""Children that are told to stop before others run. Thousands that die at the same time hold up
everybody, and what they leave is freed late: that costs twice the time (case S17)."""


class Children:
    """One for one: each is restarted by itself; one that is given up fails its parent."""

    def __init__(
        self,
        parent: "ActorChild",
        supervisor: Supervisor,
        most: int | None,
        on_end: Callable[[Child], None],
    ) -> None:
        self.active: dict[str, Child] = {}
        """Those that have not ended, the ones that restart included (case S16)."""
        self.failure: ChildFailed | None = None
        """Why the parent fails."""
        self.made = 0
        self._parent = parent
        self._supervisor = supervisor
        self._most = most
        self._on_end = on_end
        self._is_closing = False
        self._changed: trio.Event | None = None

    def check_room(self, name: str) -> None:
        """Refuse one more child where there can't be one.

        Raises:
            SpawnRefused: there are too many, or no more are taken.
            ValueError: there is one of that name.
        """
        parent = self._parent.name
        if self._is_closing or self._parent.stopping:
            raise SpawnRefused(
                f"{parent!r} can't spawn {name!r}: it ends, and its children with it; look at "
                "ctx.stopping before"
            )
        if name in self.active:
            raise ValueError(
                f"{parent!r} already has a child {name!r}, which is "
                f"{self.active[name].state.value}; give this one another name="
            )
        if self._most is not None and len(self.active) >= self._most:
            raise SpawnRefused(
                f"{parent!r} can't spawn {name!r}: it has max_children={self._most} already; wait "
                "for one to end, or allow more"
            )

    def add(self, name: str, child: Child) -> None:
        """Start a child."""
        self.active[name] = child
        self.made += 1
        child.boss = self
        self._supervisor.start(child)

    async def drain(self) -> None:
        """Let those that are fed finish what they have, and ask the others to stop.

        Raises:
            ChildFailed: one of them has failed for good.
        """
        self._is_closing = True
        deadline = trio.current_time() + self._parent.shutdown
        for child in tuple(self.active.values()):
            child.finish()
        await self._until_empty(deadline)
        for child in tuple(self.active.values()):
            if not child.is_fed():
                child.retire()
        await self._until_empty()
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        """Stop all of them, side by side, and wait until they have ended."""
        self._is_closing = True
        with trio.CancelScope(shield=True):
            for number, child in enumerate(tuple(self.active.values()), 1):
                child.retire()
                if number % _AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()
            await self._until_empty()

    async def _until_empty(self, deadline: float = float("inf")) -> None:
        with trio.move_on_at(deadline):
            while self.active:
                self._changed = trio.Event()
                await self._changed.wait()
        self._changed = None

    # -- what children say -------------------------------------------------------------------

    def child_ready(self, child: Child) -> None:
        pass

    def child_failed(self, child: Child, error: Exception) -> None:
        decision = self._supervisor.decide(child)
        if isinstance(decision, Restart):
            if is_cancelled():
                child.move(Event.CANCEL)
                self._gone(child)
            else:
                self._supervisor.act(child, decision, error)
        elif isinstance(decision, Done):
            child.end()
            self._gone(child)
        else:
            self._give_up(child, error, decision)

    def child_returned(self, child: Child) -> None:
        decision = self._supervisor.decide_return(child)
        if isinstance(decision, Restart):
            self._supervisor.act(child, decision, None)
        elif isinstance(decision, GiveUp):
            self._give_up(child, RestartedInVain.by(child.name), decision)
        else:
            self._gone(child)

    def child_broken_off(self, child: Child) -> None:
        self._gone(child)

    def child_retired(self, child: Child) -> None:
        pass

    def count_failure(self, now: float) -> None:
        pass

    def stop_clock(self, seconds: float) -> None:
        pass

    # -- inner parts -------------------------------------------------------------------------

    def _give_up(self, child: Child, error: Exception, decision: GiveUp) -> None:
        child.fail(error)
        if child.policy.restart == "temporary":
            self._supervisor.log.say_gone(child, error, self._parent.name)
        elif self.failure is None:
            self.failure = ChildFailed(f"{child.name!r} failed: {shown(error)}; {decision.reason}")
            self.failure.__cause__ = error
            assert self._parent.scope is not None
            self._parent.scope.cancel()
        self._gone(child)

    def _gone(self, child: Child) -> None:
        del self.active[child.name.rpartition("/")[2]]
        child.close()
        self._supervisor.log.forget(child.name)
        self._on_end(child)
        if self._changed is not None:
            self._changed.set()
