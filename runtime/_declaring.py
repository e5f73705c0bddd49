"""How nodes are declared: in a workflow, and in each of its groups."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, Unpack, overload

from ._options import ActorOptions, AnyOptions, MapOptions, TaskOptions
from ._shape import Kind

F = TypeVar("F")


class Declares:
    """`@wf.task`, `@wf.actor`, `wf.add` and `wf.map`, or of a group in place of `wf`."""

    @abstractmethod
    def _declare(
        self, obj: tuple[Any, ...], kind: Kind | None, options: Mapping[str, Any]
    ) -> Any: ...

    @abstractmethod
    def _declare_map(
        self,
        fn: tuple[Any, ...],
        over: Any,
        concurrency: int,
        ordered: bool,
        options: Mapping[str, Any],
    ) -> Any: ...

    @overload
    def task(self, obj: F, /) -> F: ...
    @overload
    def task(self, **options: Unpack[TaskOptions]) -> Callable[[F], F]: ...
    def task(self, *obj: Any, **options: Any) -> Any:
        """Add a batch task: one call, one result. Gives back the object unchanged.

        Raises:
            TypeError, ValueError: the object or an option is not legal; the text names the fix.
        """
        return self._declare(obj, "task", options)

    @overload
    def actor(self, obj: F, /) -> F: ...
    @overload
    def actor(self, **options: Unpack[ActorOptions]) -> Callable[[F], F]: ...
    def actor(self, *obj: Any, **options: Any) -> Any:
        """Add an actor: messages in, messages out. Gives back the object unchanged.

        Raises: as `task`.
        """
        return self._declare(obj, "actor", options)

    def add(self, obj: F, /, **options: Unpack[AnyOptions]) -> F:
        """Add any object with `execute(ctx)` or an async `run(ctx)`: instance, class, function.

        An instance serves all incarnations as it is; a class or factory gives each a fresh one.

        A workflow too: its nodes are taken over as `name/node`. Its sources take what `depends_on`
        names, its sinks are its output; `name` and `depends_on` are its only options.

        Raises: as `task`.
        """
        self._declare((obj,), None, options)
        return obj

    @overload
    def map(
        self,
        fn: F,
        /,
        *,
        over: Any,
        concurrency: int = 1,
        ordered: bool = True,
        **options: Unpack[MapOptions],
    ) -> F: ...
    @overload
    def map(
        self,
        *,
        over: Any,
        concurrency: int = 1,
        ordered: bool = True,
        **options: Unpack[MapOptions],
    ) -> Callable[[F], F]: ...
    def map(
        self, *fn: Any, over: Any, concurrency: int = 1, ordered: bool = True, **options: Any
    ) -> Any:
        """Add a node that calls a function for each item of a list, or each message of a stream.

        Over a batch task it is a task: a list in, the list of results out. Over an actor it is an
        actor that sends one result for each message. Gives back the function unchanged.

        Args:
            fn: takes one item, or the context and one item; `def` or `async def`.
            over: the upstream, which has been declared before; `{upstream: Edge(...)}` too.
            concurrency: how many calls may go on at a time.
            ordered: whether results come in the order of the items.

        Raises: as `task`.
        """
        return self._declare_map(fn, over, concurrency, ordered, options)
