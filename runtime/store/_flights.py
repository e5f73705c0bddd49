"""Equal calls at once, computed once (F39): among tasks, threads and processes.

Rule 1: whoever leads computes; those who follow get the very same object, or, when the leader
failed or was cancelled, lead in their turn.
Rule 2: a store that fails costs the cache, never a result.
"""

import logging
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Protocol

import trio
from attrs import define, field, frozen

from ._cache import EVERYWHERE, Hit, Turn, Within
from ._errors import StoreError

_FIRST_LOOK = 0.02
_LAST_LOOK = 0.5
"""Seconds between two looks whether another process is done: twice as long each time."""

_log = logging.getLogger("trouper")
_leading: ContextVar[frozenset[bytes]] = ContextVar("trouper_leading", default=frozenset())
"""Keys that this task computes now: an equal call below it would wait for itself."""


@frozen(kw_only=True)
class Call:
    """A call whose result may be cached."""

    key: bytes
    task: str
    within: Within = EVERYWHERE
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    overwrite: bool = False
    """Compute it even if it is there."""
    warn: Callable[[str], object] = _log.warning
    """Told why a result is not cached, or not taken from the cache."""

    @property
    def flight(self) -> tuple[bytes, bool]:
        """What those have in common that share a computation."""
        return self.within.flight(self.key), self.overwrite


@frozen
class Found:
    """A result, and whether it was computed by this very call."""

    value: Any
    is_computed: bool


@define(eq=False)
class _Flight:
    """One computation in this process, and who waits for it."""

    value: Any = None
    succeeded: bool = False
    waiters: list[Callable[[], object]] | None = field(factory=list[Callable[[], object]])
    """None when it has ended."""


class Keeps(Protocol):
    """A cache: what it does of the methods of `Cache`."""

    def begin(
        self, key: bytes, *, overwrite: bool = False, within: Within = EVERYWHERE
    ) -> Hit | Turn | None: ...

    def finish(
        self, key: bytes, turn: Turn, value: bytes, *, task: str, within: Within = EVERYWHERE
    ) -> bool: ...

    def give_up(self, turn: Turn) -> None: ...


@define(eq=False, kw_only=True)
class SingleFlight:
    """Looks up, waits for, or computes. Any thread may call it."""

    _cache: Keeps = field(alias="cache")
    _flights: dict[tuple[bytes, bool], _Flight] = field(
        factory=dict[tuple[bytes, bool], _Flight], init=False
    )
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    async def get(self, call: Call, compute: Callable[[], Awaitable[Any]]) -> Found:
        """Return the result of `call`, from the cache, from an equal call, or from `compute`."""
        if call.flight[0] in _leading.get():
            return Found(await compute(), True)
        while True:
            flight, leads = self._join(call)
            if leads:
                return await self._lead(call, flight, compute)
            await self._wait(flight)
            if flight.succeeded:
                return Found(flight.value, False)

    async def _lead(
        self, call: Call, flight: _Flight, compute: Callable[[], Awaitable[Any]]
    ) -> Found:
        turn, pause = None, _FIRST_LOOK
        try:
            while (found := self._begin(call)) is None:
                await trio.sleep(pause)
                pause = min(2 * pause, _LAST_LOOK)
            if isinstance(found, Found):
                return self._land(call, flight, found)
            turn = found
            token = _leading.set(_leading.get() | {call.flight[0]})
            try:
                value = await compute()
            finally:
                _leading.reset(token)
            self._keep(call, turn, value)
            return self._land(call, flight, Found(value, True))
        except BaseException:
            self._crash(call, flight, turn)
            raise

    def get_sync(
        self, call: Call, compute: Callable[[], Any], *, poll: Callable[[], object] | None = None
    ) -> Found:
        """Do as `get`, in a worker thread.

        Args:
            poll: called now and then while this waits; may raise to end the waiting.
        """
        if call.flight[0] in _leading.get():
            return Found(compute(), True)
        while True:
            flight, leads = self._join(call)
            if leads:
                return self._lead_sync(call, flight, compute, poll)
            self._wait_sync(flight, poll)
            if flight.succeeded:
                return Found(flight.value, False)

    def _lead_sync(
        self,
        call: Call,
        flight: _Flight,
        compute: Callable[[], Any],
        poll: Callable[[], object] | None,
    ) -> Found:
        turn, pause = None, _FIRST_LOOK
        try:
            while (found := self._begin(call)) is None:
                if poll is not None:
                    poll()
                time.sleep(pause)
                pause = min(2 * pause, _LAST_LOOK)
            if isinstance(found, Found):
                return self._land(call, flight, found)
            turn = found
            token = _leading.set(_leading.get() | {call.flight[0]})
            try:
                value = compute()
            finally:
                _leading.reset(token)
            self._keep(call, turn, value)
            return self._land(call, flight, Found(value, True))
        except BaseException:
            self._crash(call, flight, turn)
            raise

    def _join(self, call: Call) -> tuple[_Flight, bool]:
        """Return the computation that goes on; or a new one, and that the caller leads it."""
        with self._guard:
            flight = self._flights.get(call.flight)
            if flight is not None:
                return flight, False
            flight = self._flights[call.flight] = _Flight()
            return flight, True

    async def _wait(self, flight: _Flight) -> None:
        done, token = trio.Event(), trio.lowlevel.current_trio_token()

        def wake() -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(done.set)

        if self._will_wake(flight, wake):
            await done.wait()

    def _wait_sync(self, flight: _Flight, poll: Callable[[], object] | None) -> None:
        done = threading.Event()
        if self._will_wake(flight, done.set):
            while not done.wait(None if poll is None else 0.1):
                if poll is not None:
                    poll()

    def _will_wake(self, flight: _Flight, wake: Callable[[], object]) -> bool:
        with self._guard:
            if flight.waiters is None:
                return False
            flight.waiters.append(wake)
            return True

    def _begin(self, call: Call) -> Found | Turn | None:
        try:
            found = self._cache.begin(call.key, overwrite=call.overwrite, within=call.within)
            if isinstance(found, Hit):
                return self._read(call, found)
        except StoreError as error:
            call.warn(f"the result of {call.task} is not cached: {error}")
            return Turn("")
        return found

    def _read(self, call: Call, hit: Hit) -> Found | Turn | None:
        try:
            return Found(call.decode(hit.value), False)
        except Exception as error:
            call.warn(f"the cached result of {call.task} can't be read: {error}; it is computed")
        found = self._cache.begin(call.key, overwrite=True, within=call.within)
        return None if isinstance(found, Hit) else found

    def _keep(self, call: Call, turn: Turn, value: Any) -> None:
        try:
            packed = call.encode(value)
            if turn.token and not self._cache.finish(
                call.key, turn, packed, task=call.task, within=call.within
            ):
                call.warn(f"the result of {call.task} is not cached: it has {len(packed)} bytes")
        except Exception as error:
            call.warn(f"the result of {call.task} is not cached: {error}")
            self._give_up(turn)

    def _give_up(self, turn: Turn) -> None:
        with suppress(StoreError):
            if turn.token:
                self._cache.give_up(turn)

    def _land(self, call: Call, flight: _Flight, found: Found) -> Found:
        flight.value, flight.succeeded = found.value, True
        self._wake_all(call, flight)
        return found

    def _crash(self, call: Call, flight: _Flight, turn: Turn | None) -> None:
        if turn is not None:
            self._give_up(turn)
        self._wake_all(call, flight)

    def _wake_all(self, call: Call, flight: _Flight) -> None:
        with self._guard:
            self._flights.pop(call.flight, None)
            waiters, flight.waiters = flight.waiters or [], None
        for wake in waiters:
            wake()
