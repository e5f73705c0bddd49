"""The task that stops and starts the members of a group, while there is something to do."""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

import trio

from ._strategy import Agenda, Standing, Start, Stop


class Worked(Protocol):
    """A member, as its group's worker sees it. What it is told to do is told back to the group."""

    def halt(self) -> None:
        """Stop, to be started again."""
        ...

    def cut(self) -> None:
        """The time for that is up."""
        ...


class Crew(Protocol):
    """Whom the worker works for."""

    def launch_member(self, place: int) -> None: ...

    def stop_clock(self, seconds: float) -> None:
        """So long a stop took."""
        ...

    def rest(self) -> None:
        """There is nothing to do any more."""
        ...


MemberT = TypeVar("MemberT", bound=Worked)


class Worker(Generic[MemberT]):
    """Carries out an agenda. It waits; it decides nothing."""

    def __init__(
        self,
        agenda: Agenda,
        members: Sequence[MemberT],
        crew: Crew,
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self.deadline = math.inf
        """When what has not stopped is cut; seconds on trio's clock."""
        self._agenda = agenda
        self._members = members
        self._crew = crew
        self._spawn = spawn
        self._is_at_work = False
        self._event: trio.Event | None = None
        self._starting: MemberT | None = None

    def kick(self) -> None:
        """There is something to do."""
        self.say()
        if not self._is_at_work:
            self._is_at_work = True
            self._spawn(self._work)

    def say(self) -> None:
        """Something has happened that it may wait for."""
        if self._event is not None:
            self._event.set()

    def has_started(self, member: MemberT) -> None:
        """A member has been started, or has ended while it was."""
        if self._starting is member:
            self._starting = None
            self.say()

    def cut(self) -> None:
        """Stop all that is up at once, side by side."""
        self.deadline = math.inf
        for place, member in enumerate(self._members):
            if self._agenda.standing[place] is Standing.UP:
                member.halt()
                member.cut()

    async def _work(self) -> None:
        while (step := self._agenda.next(trio.current_time())) is not None:
            if isinstance(step, Stop):
                await self._stop(step.place)
            elif isinstance(step, Start):
                await self._start(step.place)
            else:
                await self._wait(step.until)
        self._is_at_work = False
        self._crew.rest()

    async def _stop(self, place: int) -> None:
        began = trio.current_time()
        self._members[place].halt()
        while self._agenda.standing[place] is Standing.UP:
            await self._wait(self.deadline)
            if trio.current_time() >= self.deadline:
                self.cut()
        self._crew.stop_clock(trio.current_time() - began)

    async def _start(self, place: int) -> None:
        self._starting = member = self._members[place]
        self._crew.launch_member(place)
        # One after the other, unless something has to be stopped first: it may never be ready.
        while self._starting is member and not self._agenda.must_stop():
            await self._wait(math.inf)
        self._starting = None

    async def _wait(self, until: float) -> None:
        """Wait until something happens, or for so long."""
        self._event = trio.Event()
        with trio.move_on_at(until):
            await self._event.wait()
        self._event = None
