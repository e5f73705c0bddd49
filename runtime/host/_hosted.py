"""What the handles of a run in a host's program have in common, whatever the host."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Literal, TypedDict, TypeVar

from ...actors._ask import WhenRestarting
from ...actors._dead_letters import DeadLetter
from .._control import NotRunning
from .._node_ended import NodeEnded
from .._report import StatusReport, WorkflowResult
from .._run import LiveRun
from ._far import Far, FarSideEnded, ForkedAway
from ._session import Session

HostKind = Literal["thread", "guest"]
"""Where the actors of an asyncio program run."""

T = TypeVar("T")

_LOOKS = 100
"""Times that a look is taken again when the graph has changed meanwhile."""


class SendOptions(TypedDict, total=False):
    """What `send` takes besides the message and the node; told at `LiveRun.send`."""

    source: str | None
    timeout: float | None
    correlation_id: str | None
    traceparent: str | None
    custom_context: Mapping[str, str] | None


class AskOptions(TypedDict, total=False):
    """What `ask` takes besides the question and the node; told at `LiveRun.ask`."""

    reply_from: Any
    timeout: float | None
    restarting: WhenRestarting
    correlation_id: str | None
    traceparent: str | None
    custom_context: Mapping[str, str] | None


class HostedRun:
    """A run whose actors are in another loop. What is here only looks, and never waits."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._live: LiveRun = session.live
        self._far = Far()

    @property
    def name(self) -> str:
        return self._live.name

    @property
    def has_begun(self) -> bool:
        """Whether its actors have been started."""
        return self._live.has_begun

    @property
    def has_ended(self) -> bool:
        """Whether nothing of the run goes on any more."""
        return self._live.has_ended

    def status(self) -> StatusReport:
        """As `LiveRun.status`."""
        if not self.has_begun:
            raise self._not_entered()
        return self._look(self._live.status)

    def result(self) -> WorkflowResult:
        """As `LiveRun.result`."""
        self._far.refuse_forked()
        return self._live.result()

    def input_type(self, node: str) -> Any:
        """As `LiveRun.input_type`."""
        return self._live.input_type(node)

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """As `LiveRun.dead_letters`."""
        return self._look(self._live.dead_letters)

    @property
    def results(self) -> dict[str, Any]:
        """What `ctx.set_result` has kept so far."""
        return self._look(lambda: self._live.results)

    def cancel(self, reason: str = "run.cancel() was called") -> None:
        """Cancel everything soon; what was in hand is recorded. Idempotent, from any thread."""
        # First: a far side that only starts takes no jobs yet, and looks at this when it has.
        self._session.note_cancel(reason)
        with suppress(FarSideEnded):
            self._far.post(partial(self._live.cancel, reason))

    def _look(self, look: Callable[[], T]) -> T:
        self._far.refuse_forked()
        # From another thread: a dict may grow while it is gone through. Nobody waits for that here.
        for _ in range(_LOOKS):
            with suppress(RuntimeError):
                return look()
        return look()

    # -- for the handles ---------------------------------------------------------------------

    def _leave_soon(self, why_cancelled: str = "") -> None:
        self._session.note_leave(why_cancelled)  # first, as above
        with suppress(FarSideEnded, ForkedAway):
            self._far.post(partial(self._session.leave, why_cancelled))

    def _refuse_second_use(self, *, is_entered: bool) -> None:
        if is_entered:
            raise RuntimeError("this run was entered before; open another one")

    def _not_entered(self) -> RuntimeError:
        return RuntimeError(
            f"run {self.name!r} has not begun; use it inside of `with` or `async with`"
        )

    @contextmanager
    def _told_as_ended(self, payload: Any) -> Generator[None]:
        """Say of a message that could not cross that its node takes nothing more."""
        try:
            yield
        except FarSideEnded as error:
            raise NodeEnded(
                f"run {self.name!r} has ended; the message was not accepted", payload
            ) from error

    @contextmanager
    def _told_as_over(self, what: str) -> Generator[None]:
        """Say of a call that could not cross that the run has ended."""
        try:
            yield
        except FarSideEnded as error:
            raise NotRunning(
                f"{what}() of run {self.name!r}, which has ended; look at run.has_ended before"
            ) from error


def not_in_trio(why: str) -> RuntimeError:
    """Return the error of a handle that was used where the actors run."""
    return RuntimeError(
        f"this handle of a run was used in trio, where the actors run: {why}; in an actor use its "
        "own `ctx`: `await ctx.send(...)`, `await ctx.ask(...)`"
    )


async def at_once(fn: Callable[..., T], *args: Any) -> T:
    """Call a plain function; for what has to be awaited on the far side."""
    return fn(*args)


def live_of(run: LiveRun | HostedRun) -> LiveRun:
    """Return what a handle stands for, to be used where the actors run."""
    return run if isinstance(run, LiveRun) else run._live  # pyright: ignore[reportPrivateUsage]  # here, for the router
