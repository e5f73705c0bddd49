"""From `FILE[:OBJECT]` to a workflow or task: the file is run as a script is, but not as main."""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from attrs import frozen

from ._cli_problem import Problem, user_traceback
from ._cli_text import plain
from ._names import suggest
from ._workflow import Workflow
from .tasks._bound_task import BoundTask, take_task

_SHOWN = 5
"""Tasks that are listed where one has to be chosen."""


@frozen
class Task:
    """A task of an environment, as a file has it at its top level."""

    target: Any
    """The task itself, or partials around it."""
    task: BoundTask[Any]
    args: tuple[Any, ...]
    """Held by the partials."""
    named: dict[str, Any]


def load_workflow(target: str) -> Workflow:
    """Return the workflow that `FILE[:OBJECT]` names.

    Raises:
        Problem: there is no such file or workflow, or the file can't be run.
    """
    path, wanted = split_target(target)
    return _workflow_of(path, run_file(path), wanted)


def load_target(target: str, name: str | None = None) -> Workflow | Task:
    """Return the workflow or task that `FILE[:OBJECT]` names, or `FILE` and a name behind it.

    Raises:
        Problem: there is no such file or object, or the file can't be run.
    """
    path, wanted = split_target(target)
    wanted = wanted if name is None else name
    module = run_file(path)
    tasks = _tasks_of(module)
    workflows = [name for name, each in vars(module).items() if isinstance(each, Workflow)]
    if wanted is not None and wanted in tasks:
        return tasks[wanted]
    if not tasks or (wanted in workflows if wanted is not None else workflows):
        return _workflow_of(path, module, wanted)
    if wanted is None:
        raise Problem(f"say which task, behind the file: {', '.join(_calls(path, tasks))}")
    if not hasattr(module, wanted):
        hint = suggest(wanted, [*tasks, *workflows])
        raise Problem(f"{plain(path)} has no task or workflow {plain(wanted)!r};{plain(hint)}")
    kind = type(getattr(module, wanted)).__name__
    raise Problem(
        f"{plain(wanted)} in {plain(path)} is of type {kind}, neither a task nor a workflow; it "
        f"holds {', '.join([*tasks, *workflows])}"
    )


def _calls(path: Path, tasks: Iterable[str]) -> list[str]:
    names = list(tasks)
    more = ["..."] if len(names) > _SHOWN else []
    return [f"trouper run {plain(path)} {plain(name)}" for name in names[:_SHOWN]] + more


def _tasks_of(module: ModuleType) -> dict[str, Task]:
    """Return its tasks by variable, and by their own names where these are other ones."""
    found: dict[str, Task] = {}
    for name, obj in vars(module).items():
        if (taken := take_task(obj)) is not None:
            found[name] = Task(obj, *taken)
    for each in tuple(found.values()):
        if each.target is each.task:
            found.setdefault(each.task.name, each)
    return found


def _workflow_of(path: Path, module: ModuleType, wanted: str | None) -> Workflow:
    found = {name: obj for name, obj in vars(module).items() if isinstance(obj, Workflow)}
    if wanted is not None:
        return _named(path, module, wanted, found)
    outer = [each for each in found.values() if not any(o.holds(each) for o in found.values())]
    if len({id(workflow) for workflow in outer}) == 1:
        return outer[0]
    if found:
        choices = ", ".join(f"{plain(path)}:{name}" for name in found)
        raise Problem(f"{plain(path)} holds {len(found)} workflows; choose one of: {choices}")
    raise Problem(
        f"{plain(path)} holds no workflow; at its top level write e.g. "
        'wf = trouper.Workflow("my-graph")'
    )


def _named(path: Path, module: ModuleType, wanted: str, found: dict[str, Workflow]) -> Workflow:
    if wanted in found:
        return found[wanted]
    if not hasattr(module, wanted):
        hint = suggest(wanted, found) if found else " it holds no workflow at all"
        raise Problem(f"{plain(path)} has no {wanted!r};{hint}")
    obj: Any = getattr(module, wanted)
    if obj is Workflow:
        fix = f'make one at the top level: wf = {wanted}("my-graph")'
    elif callable(obj):
        fix = f"if it makes one, write wf = {wanted}() at the top level and name that"
    else:
        fix = f"it holds {', '.join(found)}" if found else "it holds no workflow at all"
    raise Problem(
        f"{plain(path)}:{wanted} is of type {type(obj).__name__}, not trouper.Workflow; {fix}"
    )


def split_target(target: str) -> tuple[Path, str | None]:
    """Return file and object; a colon may stand in a file's own name.

    Raises:
        Problem: there is no such file, or no object behind the colon.
    """
    if Path(target).is_file():
        return Path(target), None
    file, colon, wanted = target.rpartition(":")
    path = Path(file if colon and not set(wanted) & set("/\\") else target)
    if path.is_dir():
        raise Problem(f"{plain(path)} is a folder; name the Python file in it")
    if not path.is_file():
        raise Problem(f"there is no file {plain(path)}{_alike(path)}; name a Python file")
    if not wanted.isidentifier():
        raise Problem(
            f"{plain(target)}: behind the colon stands the name of a workflow, as in "
            f"{plain(path)}:wf; leave the colon out if the file holds just one"
        )
    return path, wanted


def _alike(path: Path) -> str:
    with suppress(OSError):
        names = [each.name for each in path.parent.glob("*.py")]
        guess = suggest(path.name, names)
        if "did you mean" in guess:
            return f";{plain(guess).rstrip('?')}"
    return ""


def run_file(path: Path) -> ModuleType:
    """Run a Python file as a module of its own name, its folder first on `sys.path`.

    Raises:
        Problem: it can't be read, is no Python, or raises.
    """
    file = str(path.absolute())
    code = _compiled(path, file)
    name = _module_name(path)
    loader = importlib.machinery.SourceFileLoader(name, file)
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.absolute().parent))
    sys.argv[:] = [str(path)]
    sys.modules[name] = module
    try:
        exec(code, vars(module))  # what running a file means
    except Exception as error:
        raise Problem(
            f"{plain(path)} raised while it was loaded; correct this:\n{user_traceback(error)}"
        ) from None
    except SystemExit:
        raise Problem(
            f"{plain(path)} called sys.exit() while it was loaded; put what a script does under\n"
            '  if __name__ == "__main__":'
        ) from None
    return module


def _compiled(path: Path, file: str) -> CodeType:
    try:
        return compile(path.read_bytes(), file, "exec", dont_inherit=True)
    except OSError as problem:
        raise Problem(f"{plain(path)} can't be read: {problem.strerror}; check it") from None
    except (SyntaxError, ValueError) as problem:  # ValueError: a NUL byte, before Python 3.11.4
        raise Problem(f"{plain(path)}{_no_python(problem)}") from None


def _no_python(problem: SyntaxError | ValueError) -> str:
    line, text = getattr(problem, "lineno", None), getattr(problem, "text", None)
    at = f", line {line}" if line else ""
    quoted = f"\n    {plain(text.strip())}" if text else ""
    what = plain(getattr(problem, "msg", problem))
    return f"{at} is no Python: {what}; correct it, or name another file{quoted}"


def _module_name(path: Path) -> str:
    name = path.stem
    taken = name in sys.modules or name in sys.stdlib_module_names
    return f"trouper_program_{name}" if taken or not name.isidentifier() else name
