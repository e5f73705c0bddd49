"""`trouper.TaskEnvironment`: where tasks are declared."""

import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, overload

from ...actors._task_context import TaskContext
from .._names import check_name
from ._bound_task import AsyncTask, BoundTask, StreamTask, SyncTask, bind_task
from ._spec import make_spec
from ._task_options import SharedOptions, TaskOptions, check_options

P = ParamSpec("P")
R = TypeVar("R")
Ctx = TaskContext[Any, Any, Any]


class _Decorate(Protocol):
    """What `@env.task(...)` is: a decorator that keeps the signature."""

    # The first match counts; what returns a coroutine also returns something.
    @overload
    def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]  # so
        self, function: Callable[Concatenate[Ctx, P], AsyncIterator[R]], /
    ) -> StreamTask[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]  # so
        self, function: Callable[P, AsyncIterator[R]], /
    ) -> StreamTask[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # likewise
        self, function: Callable[Concatenate[Ctx, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # likewise
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Ctx, P], R], /) -> SyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> SyncTask[P, R]: ...


class TaskEnvironment:
    """Declare tasks with `@env.task`; then `trouper.with_runcontext().run(task, ...)`.

    Args:
        name: letters, digits, `-` and `_`.
        options: defaults for its tasks, as in `@env.task(...)`.
    """

    def __init__(self, name: str, **options: Unpack[SharedOptions]) -> None:
        self.name = check_name(name, "environment")
        check_options(f"environment {name!r}", options)
        self._options: dict[str, Any] = dict(options)
        self._tasks: dict[str, BoundTask[Any]] = {}

    @property
    def tasks(self) -> dict[str, BoundTask[Any]]:
        """Its tasks by name, as declared so far."""
        return dict(self._tasks)

    # As above.
    @overload
    def task(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]  # so
        self, function: Callable[Concatenate[Ctx, P], AsyncIterator[R]], /
    ) -> StreamTask[P, R]: ...
    @overload
    def task(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]  # so
        self, function: Callable[P, AsyncIterator[R]], /
    ) -> StreamTask[P, R]: ...
    @overload
    def task(  # type: ignore[overload-overlap]  # likewise
        self, function: Callable[Concatenate[Ctx, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def task(  # type: ignore[overload-overlap]  # likewise
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def task(self, function: Callable[Concatenate[Ctx, P], R], /) -> SyncTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> SyncTask[P, R]: ...
    @overload
    def task(self, **options: Unpack[TaskOptions]) -> _Decorate: ...
    def task(self, *function: Any, **options: Any) -> Any:
        """Declare a task: an async, sync or async-generator function, or a partial of one.

        Raises:
            TypeError, ValueError: the function or an option is not legal; the text names the fix.
        """
        if function:
            (bare,) = function
            return self._add(bare, options)

        def decorate(decorated: Any) -> BoundTask[Any]:
            return self._add(decorated, options)

        return decorate

    def _add(self, function: Any, options: dict[str, Any]) -> BoundTask[Any]:
        if isinstance(function, BoundTask):
            raise TypeError(f"{function!r} is a task already; declare its function, or call it")
        label = getattr(function, "__name__", repr(function))
        merged = {**self._options, **options}
        name = merged.get("name")
        settings = check_options(f"task {name or label!r}", merged)
        task = bind_task(make_spec(function, name, settings, self.name), self.name)
        if task.name in self._tasks and not _is_interactive(function):
            raise ValueError(
                f"environment {self.name!r} already has a task {task.name!r}; give one of the two "
                "another name="
            )
        self._tasks[task.name] = task
        return task

    def __repr__(self) -> str:
        return f"<environment {self.name!r}, {len(self._tasks)} tasks>"


def _is_interactive(function: Any) -> bool:
    """Tell whether it was typed in: a notebook's cell that runs again declares its tasks anew."""
    is_main = getattr(function, "__module__", None) == "__main__"
    return is_main and not hasattr(sys.modules["__main__"], "__file__")


TaskEnvironment.__module__ = "trouper"
