"""The process of one run: does its job, obeys orders, and answers how the run ended.

Rule 1: signals that come to all processes of a terminal are the parent's affair: it sends orders.
Rule 2: the run ends with its parent: when nobody can hear the answer, it is cancelled.
"""

import importlib.util
import io
import os
import pickle
import signal
import socket
import sys
import traceback
from typing import Any

import trio
from attrs import evolve

from ...actors._failure import summarize
from .._leaf import only_leaf
from .._process import ProcessError
from .._process_worker import import_module_of
from ..settings._init import hold
from ._isolated_job import HEAD, Answer, Job, Main, Reader, frame
from ._run import TaskRun
from .errors import RuntimeUserError

GRACE = 10.0
"""Seconds that a run may take to end when its parent is gone."""


def serve(descriptor: int) -> None:
    """Do the job that comes over a socket."""
    signal.signal(signal.SIGINT, _leave_it)
    link = socket.socket(fileno=descriptor)
    # What the run starts itself must not keep it open.
    link.set_inheritable(False)
    answer = _answer(link)
    link.setblocking(True)
    link.sendall(frame(answer))
    link.close()


def _leave_it(_number: int, _frame: object) -> None:
    """Do nothing. (One that is ignored would be so in the programs that a task starts.)"""


def _answer(link: socket.socket) -> Answer:
    try:
        run = _prepare(_read_job(link))
    except Exception as error:
        return _failure(error)
    try:
        trio.run(_go, run, link)
    except BaseException as error:
        return _failure(only_leaf(error), passes=not isinstance(only_leaf(error), Exception))
    finally:
        run.give_up()
    return _ended(run)


def _read_job(link: socket.socket) -> Job:
    with link.makefile("rb", buffering=0) as file:
        size = int.from_bytes(_exactly(file, HEAD), "big")
        job: Job = pickle.loads(_exactly(file, size))
    return job


def _exactly(file: Any, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = file.read(size - len(found))
        if not more:
            raise EOFError("the job never came")
        found += more
    return found


def _prepare(job: Job) -> TaskRun:
    from ._runner import with_runcontext

    sys.path[:], sys.argv[:] = job.path, job.argv
    if job.main is not None:
        _import_main(job.main)
    for name, file in job.modules:
        import_module_of(name, file)
    hold(job.configuration, job.secrets)
    target, args, named = Reader(io.BytesIO(job.call)).load()
    runner = with_runcontext(job.mode, **job.parameters)  # type: ignore[arg-type]  # as it was given
    run = runner.prepare(target, args, named)
    run.begin()
    return run


def _import_main(main: Main) -> None:
    """Import the main file under another name, so that what it does as a program is not done."""
    spec = importlib.util.spec_from_file_location("__mp_main__", main.file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.__package__ = main.package
    sys.modules["__mp_main__"] = module
    # Without a main module runs are refused: a file without a guard would start itself for ever.
    sys.modules.pop("__main__", None)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules["__main__"] = module


async def _go(run: TaskRun, link: socket.socket) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as terminated:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, run, link.dup())
            nursery.start_soon(_abort_at, run, terminated)
            await run.go()
            nursery.cancel_scope.cancel()


async def _obey(run: TaskRun, link: socket.socket) -> None:
    """Abort the run when that is ordered, or when the parent is gone."""
    with trio.socket.from_stdlib_socket(link) as orders:
        while order := await orders.recv(4096):
            run.abort(order.decode(errors="replace"))  # a long one may be cut within a character
    run.abort("the process that had started it is gone")
    await trio.sleep(GRACE)
    os._exit(1)


async def _abort_at(run: TaskRun, signals: Any) -> None:
    async for _ in signals:
        run.abort("SIGTERM came")


# -- the answer -----------------------------------------------------------------------------------


def _ended(run: TaskRun) -> Answer:
    results, refusal = _packed(run.results, "a result of ctx.set_result")
    if run.error is not None:
        answer = _failure(run.error)
    else:
        outputs, lost = _packed(run.outputs_now(), "what it returned")
        answer = Answer(outputs=outputs, refusal=lost or refusal)
    return evolve(
        answer,
        phase=run.phase,
        results=results,
        actions=run.actions(),
        use=run.cache_use(),
        logs=tuple(run.logs()),
    )


def _packed(value: Any, what: str) -> tuple[bytes | None, str]:
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL), ""
    except Exception as error:
        return None, f"{what} can't come back from another process ({error}); make it plain data"


def _failure(error: BaseException, *, passes: bool = False) -> Answer:
    story = "".join(traceback.format_exception(error))
    if isinstance(error, RuntimeUserError):
        cause = _cause(error.__cause__)
        told = type(error)(str(error), code=error.code, action=error.action)
        summary = error.summary
        return Answer(
            error=pickle.dumps((told, summary), pickle.HIGHEST_PROTOCOL), cause=cause, story=story
        )
    packed, _ = _picklable(error)
    if packed is None:
        # Told as what it is known by.
        text = f"{type(error).__name__}: {summarize(error).message}"
        packed = pickle.dumps(RuntimeUserError(text, code=type(error).__name__))
    return Answer(
        error=pickle.dumps((pickle.loads(packed), None), pickle.HIGHEST_PROTOCOL),
        story=story,
        passes=passes,
    )


def _cause(error: BaseException | None) -> bytes | None:
    packed, problem = _picklable(error)
    if packed is None and error is not None:
        # A failure always has a cause (known fault F35), if only in words.
        text = f"{type(error).__name__}: {summarize(error).message}"
        words = ProcessError(f"{text} (told in words, for it can't be pickled: {problem})")
        packed = pickle.dumps(words)
    return packed


def _picklable(error: BaseException | None) -> tuple[bytes | None, str]:
    """Return an exception as bytes, if it can be had back from them."""
    if error is None:
        return None, ""
    try:
        packed = pickle.dumps(error.with_traceback(None), pickle.HIGHEST_PROTOCOL)
        pickle.loads(packed)  # one with arguments of its own may fail only here
    except Exception as problem:
        return None, str(problem)
    return packed, ""
