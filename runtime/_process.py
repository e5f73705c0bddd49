"""CPU-bound task bodies, each call in a worker process.

Workers are kept for later calls of the same event loop, as many as there are CPUs, and end with it.
A call that is cancelled has its worker killed at once.
"""

import io
import os
import pickle
from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

import trio
from anyio import BrokenWorkerProcess, CapacityLimiter, to_process
from attrs import Factory, define

from ._process_context import pack_context
from ._process_worker import Answer, be_ready, pack, work


class NotPicklable(TypeError):
    """A function, argument or result can't go to another process or come back from it."""


class ProcessError(RuntimeError):
    """A worker process died, or its failure could only be told in words."""


class _NoLimit:
    """Stands for anyio's limiter, whose acquiring would let another task run in between."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


NO_LIMIT = cast("CapacityLimiter", _NoLimit())


@define
class Workers:
    """What is known of the workers of one event loop."""

    limiter: trio.CapacityLimiter = Factory(lambda: trio.CapacityLimiter(os.cpu_count() or 1))
    idle: int = 0
    """Workers that wait for a call."""


_workers: trio.lowlevel.RunVar[Workers] = trio.lowlevel.RunVar("trouper_workers")


async def call_in_process(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any], *, name: str
) -> Any:
    """Return `function(*args, **named)`, called in a worker process.

    If cancelled, the process is killed.

    Args:
        name: of the node, for errors.

    Raises:
        NotPicklable: the function, an argument or the result can't go from one to the other.
        ProcessError: the worker died, or raised what can't be pickled.
        BaseException: what the function raised; a note tells where.
    """
    packed = _packed(function, args, named, name)
    workers = _workers_here()
    async with workers.limiter:
        await _have_one(workers, name)
        # Nothing ran since: this call gets the worker that is idle.
        workers.idle -= 1
        try:
            answer = await to_process.run_sync(work, packed, cancellable=True, limiter=NO_LIMIT)
        except BrokenWorkerProcess as error:
            raise ProcessError(
                f"the worker process of {name!r} died before it answered (it was killed, ran out "
                "of memory, or called os._exit()); look at what the function calls"
            ) from error
        workers.idle += 1
    return _read(answer, name)


def _workers_here() -> Workers:
    try:
        return _workers.get()
    except LookupError:
        workers = Workers()
        _workers.set(workers)
        return workers


async def _have_one(workers: Workers, name: str) -> None:
    """Start a worker if none is idle."""
    if workers.idle > 0:
        return
    try:
        # One whose start is cancelled would be left alone: nobody knows it yet.
        with trio.CancelScope(shield=True):
            await to_process.run_sync(be_ready, limiter=NO_LIMIT)
    except BrokenWorkerProcess as error:
        raise ProcessError(
            f"no worker process for {name!r} could start: {error.__cause__ or error} (it imports "
            "the program's main file, in which only absolute imports work)"
        ) from error
    workers.idle += 1


def _packed(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any], name: str
) -> bytes:
    try:
        return pack(function, args, named, pack_context())
    except Exception as error:
        for label, value in [*enumerate(args, 1), *named.items()]:
            problem = why_not_picklable(value)
            if problem is not None:
                kind = type(value).__name__
                raise NotPicklable(
                    f"argument {label} of {name!r} is a {kind}, which can't go to another process "
                    f"({problem}); hand over plain data, or leave out executor='process'"
                ) from error
        raise NotPicklable(how_to_send(name, str(error))) from error


def _read(answer: Answer, name: str) -> Any:
    if answer.kind == "unreadable":
        raise NotPicklable(
            f"the worker process of {name!r} can't read what it should call ({answer.text}); "
            "keep the function and the types of its arguments in modules that can be imported"
        )
    if answer.kind == "unsendable":
        raise NotPicklable(
            f"{name!r} returned a {answer.text}, which can't come back from another process; "
            "return plain data, or leave out executor='process'"
        )
    if answer.kind == "untold":
        raise ProcessError(
            f"{name!r} failed in its worker process with what can't be pickled:\n{answer.text}"
        )
    try:
        value = _Reader(io.BytesIO(answer.body)).load()
    except Exception as error:
        raise NotPicklable(
            f"what {name!r} gave back can't be read here ({type(error).__name__}: {error}); "
            "return plain data, or leave out executor='process'"
        ) from error
    if answer.kind == "raised":
        value.add_note(f"raised in the worker process of {name!r}:\n{answer.text}")
        raise value
    return value


class _Reader(pickle.Unpickler):
    """Knows that the program's main module has another name in a worker."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        module = "__main__" if module_name == "__mp_main__" else module_name
        return super().find_class(module, global_name)


def why_not_picklable(value: object) -> str | None:
    """Return why a value can't be pickled; None if it can."""
    try:
        pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def how_to_send(name: str, problem: str) -> str:
    """Return what to do about a function that can't be pickled."""
    return (
        f"the function of {name!r} can't go to another process ({problem}); define it at the top "
        "level of a module, not as a lambda, inside of another function or behind a decorator that "
        "returns another one, or leave out executor='process'"
    )


NotPicklable.__module__ = ProcessError.__module__ = "trouper"
