"""One thread that writes what need not be waited for: batches of action records, and heartbeats.

Rule 1: `record` is an append to a queue; the thread writes it `LINGER` seconds later at most,
while the disk keeps up. Who must know that a record is on disk calls `flush`.
Rule 2: what the disk refuses stays in the queue and is tried again; nothing is lost in silence.
Rule 3: the thread ends with `close`, or with the process, whose last records it writes.
"""

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from attrs import define, field

from ._actions import Actions
from ._cache import Cache
from ._errors import ClaimLost, StoreClosed, StoreError
from ._limits import Limits
from ._records import ActionRecord, Claim
from ._runs import Runs

LINGER = 0.02
"""Seconds between a record and its transaction: many share one."""
_BATCH = 250
"""Records of one transaction: a task that writes a result meanwhile waits some two milliseconds."""
_AGAIN = 1.0
"""Seconds until a write that failed is tried again."""

_EVERY = 1.0
"""Seconds between two heartbeats: a fifth of what others take for silence, because a heartbeat also
hears that an abort was asked for."""

OnEvent = Callable[[], None]
Collect = Callable[[], Iterable[ActionRecord]]
OnFailure = Callable[[StoreError], None]
OnWritten = Callable[[Sequence[ActionRecord]], None]
_log = logging.getLogger("trouper")


@define(eq=False)
class _Held:
    """A claim whose heart the thread beats."""

    claim: Claim
    on_abort: OnEvent
    on_lost: OnEvent
    collect: Collect
    on_failure: OnFailure
    on_written: OnWritten


def _nothing() -> None: ...


def _no_records() -> Iterable[ActionRecord]:
    return ()


def _not_told(_failure: StoreError) -> None: ...


def _not_wanted(_records: Sequence[ActionRecord]) -> None: ...


@define(eq=False, kw_only=True)
class Recorder:
    """Writes behind the back of the hot path. Any thread may call any method."""

    _actions: Actions = field(alias="actions")
    _runs: Runs = field(alias="runs")
    _cache: Cache = field(alias="cache")
    _limits: Limits = field(alias="limits")
    _beat_every: float = field(default=_EVERY, alias="beat_every")
    _waiting: deque[ActionRecord] = field(factory=deque[ActionRecord], init=False)
    _held: dict[int, _Held] = field(factory=dict[int, _Held], init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _pid: int = field(factory=os.getpid, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)
    _flushing: threading.Lock = field(factory=threading.Lock, init=False)
    _wake: threading.Event = field(factory=threading.Event, init=False)
    _closed: threading.Event = field(factory=threading.Event, init=False)
    failure: StoreError | None = field(default=None, init=False)
    """Why the last batch could not be written; None when it could."""
    lost: int = field(default=0, init=False)
    """Records that fell out because the disk took none for too long."""

    def record(self, action: ActionRecord) -> None:
        """Note what an action does; written soon. Costs about a microsecond.

        Raises:
            StoreClosed: `close` was called before.
        """
        self._waiting.append(action)
        if not self._wake.is_set() or self._pid != os.getpid():
            self._rouse(action)

    def record_now(self, action: ActionRecord) -> None:
        """Write a record, and all before it; it is on disk when this returns.

        Raises:
            StoreError: it could not be written; it will be tried again.
        """
        self._waiting.append(action)
        self.flush()

    def flush(self) -> None:
        """Write all that waits now; not what others record meanwhile, which may never end.

        Raises:
            StoreError: it could not be written; what waits will be tried again.
        """
        with self._flushing:
            self._collect()
            left = len(self._waiting)
            while left > 0 and self._waiting:
                left -= self._write_batch(left)

    def _collect(self) -> None:
        with self._guard:
            held = tuple(self._held.values())
        for each in held:
            self._waiting.extend(each.collect())

    @property
    def is_awake(self) -> bool:
        """Whether the thread will look soon for what waits and what can be collected."""
        return self._wake.is_set()

    def rouse(self) -> None:
        """Have the thread collect and write soon."""
        self._rouse()

    def hold(
        self,
        claim: Claim,
        *,
        on_abort: OnEvent = _nothing,
        on_lost: OnEvent = _nothing,
        collect: Collect = _no_records,
        on_failure: OnFailure = _not_told,
        on_written: OnWritten = _not_wanted,
    ) -> None:
        """Beat for the claim until `let_go`. What is given is called from the recorder's thread.

        Args:
            on_abort: called once, when an abort is asked for.
            on_lost: likewise, when another process has taken this one for dead.
            collect: called before records are written; gives further ones.
            on_failure: called when records could not be written, each time that it is tried.
            on_written: called with records that were, by whichever thread has written them.
        """
        held = _Held(claim, on_abort, on_lost, collect, on_failure, on_written)
        with self._guard:
            self._held[claim.execution] = held
        self._rouse()

    def let_go(self, claim: Claim) -> None:
        """Stop the heartbeat of the claim; its actions have all been recorded."""
        with self._guard:
            self._held.pop(claim.execution, None)
        self._actions.forget(claim.execution)

    def close(self) -> None:
        """Write what waits and end the thread. May be repeated.

        Raises:
            StoreError: something could not be written, and is lost now.
        """
        self._closed.set()
        self._wake.set()
        thread, self._thread = self._thread, None
        if self._pid != os.getpid():
            return
        if thread is not None:
            thread.join()
            atexit.unregister(self._close_quietly)
        self._wake.clear()
        self.flush()

    def _close_quietly(self) -> None:
        with suppress(StoreError):
            self.close()

    def _write_batch(self, most: int) -> int:
        """Write some records, and return how many. Called with `_flushing` held."""
        batch = [self._waiting.popleft() for _ in range(min(_BATCH, most, len(self._waiting)))]
        newest = {(each.execution, each.name): each for each in batch}
        try:
            self._actions.write(newest.values())
        except BaseException as error:
            self._waiting.extendleft(reversed(batch))
            self._let_fall_out()
            self.failure = error if isinstance(error, StoreError) else self.failure
            raise
        self.failure = None
        self._tell_written(newest.values())
        return len(batch)

    def _tell_written(self, records: Iterable[ActionRecord]) -> None:
        of: dict[int, list[ActionRecord]] = {}
        for each in records:
            of.setdefault(each.execution, []).append(each)
        for execution, written in of.items():
            held = self._held.get(execution)
            if held is not None:
                held.on_written(written)

    def _let_fall_out(self) -> None:
        while len(self._waiting) > self._limits.waiting_actions:
            self._waiting.popleft()
            self.lost += 1

    def _rouse(self, action: ActionRecord | None = None) -> None:
        """Let the thread run, and start it if there is none in this process."""
        if self._pid != os.getpid():
            self._start_again(action)
        if self._closed.is_set():
            self._waiting.clear()
            raise StoreClosed("the store was closed; open it again with open_store")
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="trouper-recorder", daemon=True
                )
                self._thread.start()
                # A daemon stops in the middle of things when the process ends.
                atexit.register(self._close_quietly)
        self._wake.set()

    def _start_again(self, action: ActionRecord | None) -> None:
        """Begin anew in a forked child: what waits and what is held is the parent's affair."""
        self._guard, self._flushing = threading.Lock(), threading.Lock()
        self._wake, self._thread = threading.Event(), None
        self._waiting, self._held = deque[ActionRecord](), {}
        if action is not None:
            self._waiting.append(action)
        self._pid = os.getpid()

    def _run(self) -> None:
        beat_at = time.monotonic() + self._beat_every
        while not self._closed.is_set():
            self._wake.wait(max(0.0, beat_at - time.monotonic()) if self._held else None)
            self._closed.wait(LINGER)
            self._wake.clear()
            if not self._flush_quietly():
                self._closed.wait(_AGAIN)
                self._wake.set()
            if time.monotonic() >= beat_at:
                self._beat()
                beat_at = time.monotonic() + self._beat_every

    def _flush_quietly(self) -> bool:
        """Return whether all that waited is written."""
        try:
            self.flush()
        except StoreError as failure:
            self._tell(failure)
            return False
        except Exception:  # or no heart would beat any more
            _log.exception("records of actions can't be written; they are kept for now")
            return False
        return True

    def _tell(self, failure: StoreError) -> None:
        with self._guard:
            held = tuple(self._held.values())
        for each in held:
            each.on_failure(failure)

    def _beat(self) -> None:
        with self._guard:
            held = list(self._held.values())
        for each in held:
            try:
                self._beat_for(each)
            except StoreError:  # a full disk, say: the next beat may get through
                continue
            except Exception:  # the caller's own, or no heart would beat any more
                _log.exception("the abort or loss of the run %r could not be told", each.claim.name)
        with suppress(StoreError):
            self._cache.beat()

    def _beat_for(self, held: _Held) -> None:
        try:
            is_aborted = self._runs.beat(held.claim)
        except ClaimLost:
            self.let_go(held.claim)
            held.on_lost()
            return
        if is_aborted:
            on_abort, held.on_abort = held.on_abort, _nothing
            on_abort()
