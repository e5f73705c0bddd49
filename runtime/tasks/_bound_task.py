"""What `@env.task` makes of a function: call it from another task, or run it."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, ParamSpec, TypeGuard, TypeVar, cast

import trio

from ...actors._current import ctx, current_context
from ._action import Action, CallContext
from ._calls import Perform, adopt
from ._groups import current_group
from ._in_thread import bridge_of, call_from_thread
from ._perform import Base, perform
from ._served import perform_served
from ._spec import Spec
from ._stream import TaskStream

P = ParamSpec("P")
R = TypeVar("R")


class BoundTask(Generic[P]):
    """A task of an environment. Call it from another task, as a plain function."""

    def __init__(self, spec: Spec, environment: str) -> None:
        self.spec = spec
        self.environment = environment
        self._perform: Perform = perform_served if spec.is_served else perform
        self.__name__ = spec.name
        for attribute in ("__doc__", "__module__", "__qualname__", "__wrapped__"):
            source = spec.function
            value = source if attribute == "__wrapped__" else getattr(source, attribute, None)
            setattr(self, attribute, value)

    @property
    def name(self) -> str:
        return self.spec.name

    def __repr__(self) -> str:
        return f"<task {self.spec.name!r} of environment {self.environment!r}>"

    def _open(self, args: Any, named: Any) -> "tuple[Action, Base, Any, Any]":
        """Return a new action for a call: its name is given here, in the order of calls."""
        spec = self.spec
        base = current_context.get()
        if type(base) is CallContext:
            parent, base = base.call, base.base  # what all calls below one node or run share
        elif base is not None and base.run_context is not None:
            parent = adopt(base, base.run_context)
        else:
            raise _no_run(spec.name)
        args, named = spec.binder.bind(args, named)
        action = Action(
            parent.next_name(spec.name), spec.name, parent.calls, parent, current_group.get()
        )
        parent.calls.add(action)
        return action, base, args, named


class AsyncTask(BoundTask[P], Generic[P, R]):
    """A task that is written `async def`."""

    def __call__(self, *args: P.args, **named: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call it: a supervised child of the task that calls. In a sync task it blocks.

        Raises:
            TypeError: the arguments don't fit; nothing has run.
            RuntimeUserError: it failed, and is not tried again.
        """
        action, base, bound, bound_named = self._open(args, named)
        if trio.lowlevel.in_trio_task():
            perform = action.calls.perform or self._perform
            return perform(self.spec, action, base, bound, bound_named)
        value = call_from_thread(self.spec, action, base, bound, bound_named)
        return cast("Coroutine[Any, Any, R]", value)

    def wait(self, *args: P.args, **named: P.kwargs) -> R:
        """Call it from a sync task and return its result: the call itself, rightly typed."""
        _refuse_blocking(self.spec, "wait")
        return cast("R", self(*args, **named))


class SyncTask(BoundTask[P], Generic[P, R]):
    """A task that is written `def`; it runs in a worker thread, or in that of its sync caller."""

    def __call__(self, *args: P.args, **named: P.kwargs) -> R:
        """Call it: a supervised child of the task that calls. An async task awaits it.

        Raises: as of an async task.
        """
        action, base, bound, bound_named = self._open(args, named)
        if trio.lowlevel.in_trio_task():
            perform = action.calls.perform or self._perform
            return cast("R", perform(self.spec, action, base, bound, bound_named))
        return cast("R", call_from_thread(self.spec, action, base, bound, bound_named))

    def aio(self, *args: P.args, **named: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call it from an async task: the call itself, rightly typed."""
        if not trio.lowlevel.in_trio_task():
            raise RuntimeError(
                f"{self.name}.aio() is for async code; in a sync task write {self.name}(...)"
            )
        return cast("Coroutine[Any, Any, R]", self(*args, **named))


class StreamTask(BoundTask[P], Generic[P, R]):
    """A task that yields: a stream, read by `async for`, in a sync task by `for`."""

    def __call__(self, *args: P.args, **named: P.kwargs) -> TaskStream[R]:
        """Open it: a supervised child of the task that calls, which begins when it is read.

        Raises: as of an async task.
        """
        action, base, bound, bound_named = self._open(args, named)
        action.interruptible = self.spec.settings.interruptible
        bridge = None if trio.lowlevel.in_trio_task() else bridge_of(action)
        return TaskStream((self.spec, action, base, bound, bound_named), bridge=bridge)


def _no_run(name: str) -> RuntimeError:
    if ctx() is not None:
        return RuntimeError(
            f"task {name!r} was called in a worker process, where no run is; call the function "
            "that it is made of, or leave out executor='process'"
        )
    return RuntimeError(
        f"task {name!r} was called outside of any run; write trouper.run({name}, ...), or "
        f"trouper.with_runcontext(...).run({name}, ...)"
    )


def _refuse_blocking(spec: Spec, what: str) -> None:
    if trio.lowlevel.in_trio_task():
        raise RuntimeError(
            f"{spec.name}.{what}() would block the event loop; write `await {spec.name}(...)`"
        )


def bind_task(spec: Spec, environment: str) -> BoundTask[Any]:
    """Return the task of its kind."""
    kinds: dict[str, Callable[[Spec, str], BoundTask[Any]]] = {
        "async": AsyncTask,
        "sync": SyncTask,
        "stream": StreamTask,
    }
    return kinds[spec.kind](spec, environment)


def take_task(target: Any) -> tuple[BoundTask[Any], tuple[Any, ...], dict[str, Any]] | None:
    """Return a task with what partials around it hold; None: it is none."""
    args: tuple[Any, ...] = ()
    named: dict[str, Any] = {}
    while _is_partial(target):
        args, named = (*target.args, *args), {**target.keywords, **named}
        target = target.func
    return (target, args, named) if _is_task(target) else None


def _is_partial(target: object) -> TypeGuard[partial[Any]]:
    return isinstance(target, partial)


def _is_task(target: object) -> TypeGuard[BoundTask[Any]]:
    return isinstance(target, BoundTask)


for _public in (BoundTask, AsyncTask, SyncTask, StreamTask):
    _public.__module__ = "trouper"
