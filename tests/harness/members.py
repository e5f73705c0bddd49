"""Members of groups that do what a test tells them, and say what happens to them."""

from collections.abc import Callable
from typing import Any

import trio
from attrs import define, field

import trouper


class Told(Exception):
    """A failure that a test asked for."""


def _nothing() -> None:
    """Just return."""


@define(eq=False)
class Member:
    """An actor without edges. One object serves all incarnations."""

    name: str
    log: list[str]
    stop_takes: float = 0.0
    starts: int = 0
    alive: int = 0
    """Incarnations between start and stop: more than one at a time would be a fault."""
    bad_starts: list[int] = field(factory=list[int])
    """Starts (from 1) whose hook fails."""
    start_takes: float = 0.0
    _started: trio.Event = field(factory=trio.Event)
    _told: trio.Event = field(factory=trio.Event)
    _order: Callable[[], None] = _nothing

    async def start(self, ctx: trouper.ActorContext) -> None:
        self.starts += 1
        self.alive += 1
        assert self.alive == 1
        self.log.append(f"start {self.name}")
        self._started.set()
        if self.start_takes:
            await trio.sleep(self.start_takes)
        if self.starts in self.bad_starts:
            raise Told(f"start {self.starts} of {self.name}")

    async def stop(self, ctx: trouper.ActorContext, reason: str) -> None:
        try:
            if self.stop_takes:
                await trio.sleep(self.stop_takes)
        finally:
            self.alive -= 1
            self.log.append(f"stop {self.name}: {reason}")

    async def run(self, ctx: trouper.ActorContext) -> None:
        self._told = trio.Event()
        await self._told.wait()
        self._order()

    async def ready(self) -> None:
        """Wait for the next start."""
        self._started = trio.Event()
        await self._started.wait()

    def fail(self) -> None:
        """Let it fail, once it runs again."""
        self._tell(self._raise)

    def end(self) -> None:
        """Let it return."""
        self._tell(_nothing)

    def _raise(self) -> None:
        raise Told(self.name)

    def _tell(self, order: Callable[[], None]) -> None:
        self._order = order
        self._told.set()


def add_members(group: Any, log: list[str], *names: str, **options: Any) -> list[Member]:
    """Add members of these names to a group, in order."""
    members = [Member(name, log) for name in names]
    for member in members:
        group.add(member, name=member.name, backoff=trouper.Backoff(min=0, max=0), **options)
    return members


def take(log: list[str]) -> list[str]:
    """Return what was logged since the last call, without the hooks' reasons."""
    said = [line.partition(":")[0] for line in log]
    log.clear()
    return said
