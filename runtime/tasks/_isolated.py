"""`isolate="process"`: a run in a process of its own, with its handle here.

Rule 1: the run is recorded by the process that it goes on in; here it has its handle only.
Rule 2: an abort, a cancel and Ctrl-C here become orders to that process, which ends the run in
good order; its end is waited for.
"""

import io
import logging
import pickle
import socket
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from subprocess import Popen, TimeoutExpired
from time import time
from typing import Any, Literal

import trio
from attrs import evolve

from ...actors._profile_config import ProfileConfig
from ...actors._run_context import RunContext
from .._process import ProcessError
from ..cache._use import KEY
from ..logs._of_run import logs_of
from ..settings._init import held_secrets
from ..settings._merge import is_mapping
from ..settings._sections import Configuration
from ..store._records import ActionRecord
from ..workspace._workspace import Workspace
from ._action import ActionReport, Phase
from ._bound_task import BoundTask
from ._hold import NameOnly
from ._isolated_job import HEAD, Answer, Job, Reader, frame, main_of_this, pack_call
from ._outputs import Outputs
from ._parameters import Parameters
from ._run import TaskRun
from ._source import source_of
from ._work import Ended, abort_at_interrupts
from .errors import RuntimeUserError

GRACE = 10.0
"""Seconds that the process has after its run to end."""

log = logging.getLogger("trouper")

_CHILD = "from trouper.runtime.tasks._isolated_child import serve; serve({})"


class _Use:
    """Stands for the cache that the other process has used."""

    def __init__(self, use: Any) -> None:
        self.use = use


class IsolatedWork:
    """A task or workflow that runs in another process."""

    failed_in: str | None = None
    """The other process records it."""

    def __init__(
        self,
        found: tuple[BoundTask[Any], tuple[Any, ...], dict[str, Any]] | None,
        target: Any,
        given: tuple[tuple[Any, ...], dict[str, Any]],
        context: RunContext,
        parameters: Parameters,
        configuration: Configuration,
    ) -> None:
        """Check what can be checked here.

        Raises:
            TypeError: the arguments don't fit.
            NotPicklable: the call can't go to another process.
        """
        self.kind: Literal["task", "workflow"] = "workflow" if found is None else "task"
        self.raises = found is not None
        self.inputs: Mapping[str, Any] = {}
        self._source: Any = None
        if found is not None:
            task, first, over = found
            binder = task.spec.binder
            args, named = binder.bind((*first, *given[0]), {**over, **given[1]})
            self.inputs = binder.as_mapping(args, named)
            self._source = task.spec.function
        elif any(given):
            raise TypeError(f"workflow {target.name!r} takes no arguments; its nodes have them")
        self.name: str = target.name if found is None else found[0].name
        self._context = context
        self._job = _job(target, given, self.name, context, parameters, configuration)
        self._has_ended = False
        self._order: str | None = None
        self._wake = trio.Event()
        self._actions = ActionReport(
            name=self.name, task=self.name, phase="waiting", attempts=0, started=0.0, ended=0.0
        )

    @property
    def config(self) -> ProfileConfig:
        return ProfileConfig()

    def cancel(self, reason: str) -> None:
        self._order = self._order or reason
        self._wake.set()

    async def obey(self, run: TaskRun, interrupts: trio.MemoryReceiveChannel[int]) -> None:
        """Cancel at the first signal. At the third this process ends, and so that one hears it."""
        await abort_at_interrupts(run, interrupts)

    def actions(self) -> ActionReport:
        """Return its actions; while it goes on, those of another process are not known here."""
        return self._actions

    def look(self, execution: int) -> Iterable[ActionRecord]:
        return ()

    def source(self) -> dict[str, str]:
        return {} if self._source is None else source_of(self._source)

    async def run(self) -> "Ended":
        """Start the process and wait for its end, which comes in good order also on a cancel."""
        self._note("running")
        answer: Answer | None = None
        ours, theirs = socket.socketpair()
        with theirs:
            process = _start(theirs)
        link = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        async with link, trio.open_nursery() as nursery:
            # A cancel becomes an order: the end is waited for, as with tasks in this process.
            with trio.CancelScope(shield=True):
                with suppress(trio.BrokenResourceError):  # it died while it was told
                    await link.send_all(self._job)
                    nursery.start_soon(self._forward, link)  # not before: one at a time may send
                    answer = await _receive(link)
                self._has_ended = True
                await trio.to_thread.run_sync(_wait_for, process, self._context.run_name)
            nursery.cancel_scope.cancel()
        return self._read(answer, process.returncode)

    async def _forward(self, link: trio.SocketStream) -> None:
        """Send the order to end when it is given, or when the run is cancelled here."""
        try:
            await self._wake.wait()
        except trio.Cancelled:
            if not self._has_ended:
                with trio.CancelScope(shield=True):
                    await _say(link, "cancelled from outside")
            raise
        await _say(link, self._order or "")

    def _note(self, phase: Phase) -> None:
        report = self._actions
        started, ended = report.started or time(), 0.0 if phase == "running" else time()
        self._actions = ActionReport(
            name=self.name, task=self.name, phase=phase, attempts=1, started=started, ended=ended
        )

    # -- the answer --------------------------------------------------------------------------

    def _read(self, answer: Answer | None, code: int) -> "Ended":
        if answer is None and self._order is not None:
            # Interrupted before it could hear of it in words.
            self._note("cancelled")
            return "cancelled", Outputs(), None
        if answer is None:
            self._note("failed")
            return "failed", Outputs(), ProcessError(_died(self._context.run_name, code))
        if answer.actions is None:
            self._note("failed")
        else:
            self._actions = answer.actions
        self._context.kept[KEY] = _Use(answer.use)
        logs_of(self._context).take_over(answer.logs)
        if answer.results is not None:
            self._context.results.update(_load(answer.results))
        if answer.error is not None:
            error = _error(answer)
            if answer.passes:
                raise error
            return "failed", Outputs(), error
        if answer.refusal and answer.phase == "completed":
            return "failed", Outputs(), RuntimeUserError(answer.refusal, code="NotPicklable")
        outputs = Outputs() if answer.outputs is None else _load(answer.outputs)
        if answer.phase == "completed":
            return "completed", outputs, None
        return "cancelled", outputs, None


def isolated_run(
    found: tuple[BoundTask[Any], tuple[Any, ...], dict[str, Any]] | None,
    target: Any,
    given: tuple[tuple[Any, ...], dict[str, Any]],
    context: RunContext,
    parameters: Parameters,
    configuration: Configuration,
) -> TaskRun:
    """Return a run in a process of its own, which has not begun; as of `IsolatedWork`."""
    context = evolve(context, results={})  # they come with the answer
    work = IsolatedWork(found, target, given, context, parameters, configuration)
    # Recorded by the other process; here only its name is held.
    return TaskRun(context, work, NameOnly(context.run_name))


def _job(
    target: Any,
    given: tuple[tuple[Any, ...], dict[str, Any]],
    label: str,
    context: RunContext,
    parameters: Parameters,
    configuration: Configuration,
) -> bytes:
    call, modules = pack_call(target, *given, label)
    values: dict[str, Any] = {
        key: _plain(value) for key, value in parameters.given.items() if key != "isolate"
    }
    mode = values.pop("mode", None)
    values["name"] = context.run_name
    return frame(
        Job(
            path=list(sys.path),
            argv=list(sys.argv),
            main=main_of_this(),
            modules=modules,
            configuration=configuration,
            secrets=held_secrets(),
            mode=mode,
            parameters=values,
            call=call,
        )
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Workspace):
        return str(value.path)
    # Views of mappings can't be pickled.
    return dict(value) if is_mapping(value) else value


def _start(theirs: socket.socket) -> "Popen[bytes]":
    descriptor = theirs.fileno()
    # sys.path of this process: where it finds trouper, the other one does.
    code = f"import sys; sys.path[:] = {sys.path!r}; {_CHILD.format(descriptor)}"
    return Popen([sys.executable, "-c", code], pass_fds=[descriptor])


def _wait_for(process: "Popen[bytes]", name: str) -> None:
    """Wait for the end of a process whose run has ended; one that stays is killed."""
    try:
        process.wait(GRACE)
    except TimeoutExpired:
        log.warning(
            "the run %r has ended, but not its process: a thread that it has started goes on; "
            "it is killed after %g s",
            name,
            GRACE,
        )
        process.kill()
        process.wait()


async def _say(link: trio.SocketStream, order: str) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await link.send_all(order.encode("utf-8", "replace"))


async def _receive(link: trio.SocketStream) -> Answer | None:
    """Return the answer; None: the process has died without one."""
    found = bytearray()
    size: int | None = None
    while size is None or len(found) < size:
        try:
            more = await link.receive_some()
        except trio.BrokenResourceError:
            return None
        if not more:
            return None
        found += more
        if size is None and len(found) >= HEAD:
            size = HEAD + int.from_bytes(found[:HEAD], "big")
    answer: Answer = pickle.loads(memoryview(found)[HEAD:])
    return answer


def _load(packed: bytes) -> Any:
    return Reader(io.BytesIO(packed)).load()


def _error(answer: Answer) -> BaseException:
    assert answer.error is not None
    error: BaseException
    try:
        error, summary = _load(answer.error)
        cause = None if answer.cause is None else _load(answer.cause)
    except Exception as problem:
        return RuntimeUserError(
            f"the run failed in its process, by what can't be read here ({problem}):\n"
            f"{answer.story}"
        )
    error.__cause__ = cause
    if isinstance(error, RuntimeUserError):
        error.summary = summary
    (cause or error).add_note(f"raised in the process of the run:\n{answer.story}")
    return error


def _died(name: str, code: int) -> str:
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return (
        f"the process of the run {name!r} ended {how} before it told how the run went; it was "
        "killed, ran out of memory, or called os._exit()"
    )
