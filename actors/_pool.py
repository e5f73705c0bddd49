"""Trio tasks that run one job after another: a fresh trio task costs more than most task bodies.

A worker runs what is due until nothing is. When a job waits while others are due, another worker is
started for those, so a pool grows only as far as jobs wait side by side. Each job has context
variables of its own, as a trio task has.

A job may leave a cancel scope open, and whatever came after it in its trio task would run inside of
that scope. So a worker retires after every job that has waited, and after one that leaves it with
another deadline: cancelled, or to be. (A scope left open by a job that never waits, and with no
deadline, stays unnoticed: trio has no public word for it.)
"""

import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any

import trio

from ..channels._meter import Pace

Job = Callable[[], Coroutine[Any, Any, None]]


_OF_A_JOB = 2
"""Operations: the job, and the call that it may be."""


class Pool:
    """Runs jobs in the order they were started; those that do not wait share one trio task."""

    __slots__ = ("_clean", "_due", "_is_attended", "_nursery", "_pace")

    def __init__(self, nursery: trio.Nursery, clean: Context, pace: Pace | None = None) -> None:
        self._nursery = nursery
        self._clean = clean
        """The context variables that every job starts from."""
        self._due: deque[tuple[str, Job]] = deque()
        self._is_attended = False
        """Whether a worker looks at what is due before anybody waits."""
        self._pace = Pace() if pace is None else pace
        """Perhaps that of the jobs too: then a slice ends between two of them."""

    def start(self, job: Job, name: str) -> None:
        """Run a job soon. In a nursery that is being cancelled it may not begin at all."""
        self._due.append((name, job))
        if not self._is_attended:
            self._hire(name)

    def _hire(self, name: str) -> None:
        self._is_attended = True
        self._clean.run(self._spawn, name)

    def _spawn(self, name: str) -> None:
        self._nursery.start_soon(self._work, name=name)

    async def _work(self) -> None:
        due, copy, pace = self._due, self._clean.copy, self._pace
        task = trio.lowlevel.current_task()
        deadline = trio.current_effective_deadline()
        try:
            while due:
                if pace.left <= _OF_A_JOB:
                    # Here, where no job is in hand: one that waits needs a worker for itself.
                    await pace.breathe()
                    pace.left += _OF_A_JOB
                    continue
                pace.left -= 1
                task.name, make_job = due.popleft()
                job = make_job()
                run = copy().run
                try:
                    trap = run(job.send, None)
                except StopIteration:
                    if trio.current_effective_deadline() == deadline:
                        continue
                else:
                    await self._go_on(run, job, trap)
                break
        finally:
            self._is_attended = False
        if due:
            self._hire(due[0][0])

    @types.coroutine
    def _go_on(
        self, run: Callable[..., Any], job: Coroutine[Any, Any, None], trap: Any
    ) -> Generator[Any, Any, None]:
        """Run a job that waits to its end, each step of it in the job's own context."""
        while True:
            # From here on this worker waits with its job: others need another worker.
            self._is_attended = False
            if self._due:
                self._hire(self._due[0][0])
            step: Callable[[Any], Any] = job.send
            try:
                given = yield trap
            except BaseException as error:
                # trio throws only where something awaits what is not trio's; the job's own failure.
                given, step = error, job.throw
            self._is_attended = True
            try:
                trap = run(step, given)
            except StopIteration:
                return
