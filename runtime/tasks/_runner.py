"""`trouper.with_runcontext(...)`: say how runs are to be, then run tasks and workflows so."""

from collections.abc import AsyncGenerator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Unpack

import sniffio
import trio
from attrs import evolve

from ...actors._run_context import Mode
from .._execution import Execution
from .._in_worker import refuse_in_a_worker
from .._interrupts import catch_interrupts
from .._leaf import only_leaf
from .._settings import ExecuteOptions, generate_run_name
from .._trio_only import refuse_outside_trio
from .._workflow import Workflow
from ..settings._init import current
from ..settings._sections import Configuration
from ..store._records import DEFAULT_SCOPE
from ._asyncio import run_beside_asyncio
from ._bound_task import take_task
from ._hold import Again, NameOnly, hold_of
from ._nested import stop_with_caller
from ._parameters import Parameters, RunParameters, check_parameters
from ._run import TaskRun
from ._work import TaskWork, Work, WorkflowWork


def with_runcontext(mode: Mode | None = None, **parameters: Unpack[RunParameters]) -> "Runner":
    """Return a runner: `.run(task, ...)` on it starts a run with these parameters.

    Args:
        mode: where the run executes; "local" is in this process, and all there is yet.
        parameters: see the page "Run context". What is left out is as `trouper.init*` and the
            environment say when a run starts, or else has its default.

    Raises:
        TypeError, ValueError: a parameter is unknown or not legal.
        NotImplementedError: it would have no effect yet.
    """
    return Runner(check_parameters(mode, parameters))


class Runner:
    """Starts runs, one or many, with the same parameters. Made by `with_runcontext`."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    @property
    def run(self) -> "RunMethod":
        """`runner.run(task, ...)` blocks; in async code write `await runner.run.aio(task, ...)`."""
        return RunMethod(self)

    def open(
        self, target: Any, /, *args: Any, **named: Any
    ) -> AbstractAsyncContextManager[TaskRun]:
        """Start a run beside the block: `async with runner.open(task, ...) as run:`, in trio.

        At the end of the block it is waited for; an exception there cancels it. It never raises
        for a failed task: ask `run.outputs()`.
        """
        return _open(self.prepare(target, args, named))

    def prepare(
        self,
        target: Any,
        args: tuple[Any, ...],
        named: dict[str, Any],
        again: Again | None = None,
    ) -> TaskRun:
        """Return a run that has not begun, with everything checked that can be.

        Args:
            again: of a run that is recorded already.

        Raises:
            TypeError: the target is neither a task nor a workflow, or the arguments don't fit.
            GraphError: the graph can't run.
            ValueError: a run of that name goes on.
            RuntimeError: a worker process imports the program, which would run it once more.
        """
        found = take_task(target)
        if found is None and not isinstance(target, Workflow):
            raise TypeError(_no_target(target))
        label: str = target.name if found is None else found[0].name
        refuse_in_a_worker(label)
        configuration = current()
        parameters = _configured(self._parameters, configuration)
        given = parameters.get("name")
        name: str = generate_run_name(label) if given is None else given
        hold, context = hold_of(parameters, configuration, parameters.run_context(name), again)
        work: Work
        is_dry: bool = parameters.get("dry_run")
        if parameters.get("isolate") is not None and not is_dry:
            from ._isolated import isolated_run  # here, for few runs are

            given_args = (args, named)
            return isolated_run(found, target, given_args, context, parameters, configuration)
        if found is not None:
            task, first, over = found
            work = TaskWork(task.spec, context, (*first, *args), {**over, **named})
        elif args or named:
            raise TypeError(f"workflow {label!r} takes no arguments; its nodes have them")
        else:
            options = ExecuteOptions()
            if again is not None:
                options["profile_config"] = again.config
            work = WorkflowWork(target, context, **options)
        if is_dry:
            from ._dry_run import DryWork  # here, for few runs are

            # Not recorded, for nothing of it happens.
            dry = DryWork(work, context, parameters, configuration.root)
            return TaskRun(evolve(context, workspace=None), dry, NameOnly(name))
        experiment = DEFAULT_SCOPE if again is None else again.experiment
        return TaskRun(context, work, hold, experiment)


def run_prepared(run: TaskRun) -> TaskRun:
    """Run what was prepared, as `runner.run` does; from any thread without an event loop."""
    run.begin()
    with stop_with_caller(run):
        _run_blocking(run)
    return _ended(run)


async def run_awaited(run: TaskRun) -> TaskRun:
    """Run what was prepared, as `runner.run.aio` does."""
    run.begin()
    if sniffio.current_async_library() == "trio":
        await run.go()
    else:
        await run_beside_asyncio(run, partial(_run_blocking, run))
    return _ended(run)


def prepare_graph(
    workflow: Workflow, parameters: Parameters, **options: Unpack[ExecuteOptions]
) -> tuple[Execution, TaskRun]:
    """Return a run of a graph that has not begun, and what runs it.

    Args:
        parameters: as they were given; what is left out is as configured.
        options: as of `Workflow.execute`.

    Raises:
        GraphError: the graph can't run.
    """
    configuration = current()
    parameters = _configured(parameters, configuration)
    if parameters.get("dry_run"):
        raise ValueError(
            "a dry run gives a bundle, and no result of a graph; write "
            f"trouper.with_runcontext(dry_run=True).run({workflow.name})"
        )
    if parameters.get("isolate") is not None:
        raise ValueError(
            "a run in a process of its own gives outputs, and no result of a graph; write "
            f"trouper.with_runcontext(isolate='process').run({workflow.name})"
        )
    given = parameters.get("name")
    name: str = generate_run_name(workflow.name) if given is None else given
    hold, context = hold_of(parameters, configuration, parameters.run_context(name))
    work = WorkflowWork(workflow, context, **options)
    return work.execution, TaskRun(context, work, hold)


def _configured(given: Parameters, configuration: Configuration) -> Parameters:
    """Return the parameters that were given, over those that are configured now."""
    values = {**configuration.run_defaults(), **given.given}
    parameters = check_parameters(values.pop("mode", None), values)
    return evolve(parameters, org=configuration.task.org)


class RunMethod:
    """`runner.run`, in its two forms."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __call__(self, target: Any, /, *args: Any, **named: Any) -> TaskRun:
        """Run a task or workflow to its end, from any thread without an event loop.

        Raises:
            RuntimeUserError: the task failed; its `run` is this run. A workflow never raises for a
                failed node: ask `run.outputs()`.
            KeyboardInterrupt: Ctrl-C or SIGTERM came, and every task has ended.
            RunCancelled: the run was aborted.
            TypeError, ValueError, GraphError: see `Runner.prepare`; nothing has run.
            RuntimeError: an event loop runs in this thread; the text names the awaitable form.
        """
        _refuse_in_a_loop(target)
        return run_prepared(self._runner.prepare(target, args, named))

    def aio(self, target: Any, /, *args: Any, **named: Any) -> Coroutine[Any, Any, TaskRun]:
        """Run a task or workflow to its end, awaited: in trio in this task, in asyncio beside it.

        A cancel of the awaiting task cancels the run. Raises: as the blocking form.
        """
        return self._aio(target, args, named)

    async def _aio(self, target: Any, args: tuple[Any, ...], named: dict[str, Any]) -> TaskRun:
        return await run_awaited(self._runner.prepare(target, args, named))


@asynccontextmanager
async def _open(run: TaskRun) -> AsyncGenerator[TaskRun, None]:
    # Before it holds its name: nobody would let it go.
    refuse_outside_trio("runner.open()", "`await runner.run.aio(task, ...)`")
    failure: Exception | None = None
    run.begin()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.go)
        try:
            yield run
        except Exception as error:  # kept: the nursery would wrap it
            failure = error
            run.abort("the block that opened it raised")
    if failure is not None:
        raise failure


def _run_blocking(run: TaskRun) -> None:
    async def main() -> None:
        with catch_interrupts() as interrupts:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run.work.obey, run, interrupts)
                await run.go()
                nursery.cancel_scope.cancel()

    try:
        trio.run(main)
        return
    except BaseExceptionGroup as group:
        error = only_leaf(group)
    finally:
        run.give_up()
    # Outside of the clause above: it would get the group as its context.
    raise error


def _ended(run: TaskRun) -> TaskRun:
    """Return a run that has ended well, or is a workflow's."""
    if run.work.raises:
        if run.interrupted and run.phase != "completed":
            raise KeyboardInterrupt
        run.raise_failure()
    return run


def _refuse_in_a_loop(target: Any) -> None:
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return
    name = getattr(target, "name", "task")
    raise RuntimeError(
        f"runner.run() blocks, and {library} runs in this thread; write "
        f"`await runner.run.aio({name}, ...)`"
    )


def _no_target(target: Any) -> str:
    shown = getattr(target, "__qualname__", repr(target))
    return (
        f"{shown} is neither a task nor a workflow; declare it with "
        "`env = trouper.TaskEnvironment(...)` and `@env.task`"
    )


Runner.__module__ = RunMethod.__module__ = with_runcontext.__module__ = "trouper"
