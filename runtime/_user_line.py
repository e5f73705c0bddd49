"""Where a thread is right now, or was when it failed, said by the line of the user's own code."""

import functools
import os
import sys
import sysconfig
from collections.abc import Iterator
from traceback import walk_tb
from types import FrameType

import trio

from ..actors._child import Child
from .tasks._action import Action

_MACHINERY = ("trouper", "trio", "outcome", "sniffio")
"""Packages whose lines tell the user nothing."""


def user_line(frame: FrameType) -> str:
    """Return `file:line in function`, of the innermost frame that is the user's.

    If the user's code called into a library, that place is added: `(in ssl.py:1263 in read)`.
    """
    frames = [each for each in _outwards(frame) if not _is_machinery(each)]
    if not frames:
        return _place(frame)
    own = next((each for each in frames if not _is_library(each)), frames[0])
    return _place(own) if own is frames[0] else f"{_place(own)} (in {_place(frames[0])})"


def waits_at(task: trio.lowlevel.Task) -> str:
    """Return `file:line in function` of the user's innermost `await` of a task; "" if it runs."""
    found = [each for each in task.iter_await_frames() if not _is_machinery(each[0])]
    own = [each for each in found if not _is_library(each[0])] or found
    return _place(*own[-1]) if own else ""


def node_name(frame: FrameType) -> str | None:
    """Return the node or action that runs in these frames; None for a task of nobody's."""
    return next(filter(None, map(_node_of, _outwards(frame))), None)


def running_task(frame: FrameType) -> trio.lowlevel.Task | None:
    """Return the task that runs in these frames, of another thread; None: nothing of trio does."""
    outer: FrameType | None = frame
    while outer is not None and not _is_scheduler(outer):
        outer = outer.f_back
    task: object = None if outer is None else outer.f_locals.get("task")
    return task if isinstance(task, trio.lowlevel.Task) else None


def raised_at(error: BaseException) -> str:
    """Return ` in NODE, at file:line in function`, the user's innermost place; "" outside of nodes.

    A cancel has no such place: it comes from elsewhere.
    """
    node, place = None, ""
    for frame, line in walk_tb(error.__traceback__):
        node = node or _node_of(frame)
        if node and not _is_machinery(frame) and not (place and _is_library(frame)):
            place = f", at {_place(frame, line)}"
    return f" in {node!r}{place}" if node and not isinstance(error, trio.Cancelled) else ""


def _node_of(frame: FrameType) -> str | None:
    if frame.f_code.co_name == "incarnate":
        child: object = frame.f_locals.get("self")
        if isinstance(child, Child):
            return child.name
    if frame.f_code.co_name == "perform":
        action: object = frame.f_locals.get("action")
        if isinstance(action, Action):
            return action.name
    return None


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames of the task that runs, innermost first; not of whoever started trio."""
    while frame is not None and not _is_scheduler(frame):
        yield frame
        frame = frame.f_back


def _is_scheduler(frame: FrameType) -> bool:
    return frame.f_code.co_name == "unrolled_run" and _is_machinery(frame)


def _is_machinery(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _MACHINERY


def _is_library(frame: FrameType) -> bool:
    # `<frozen importlib._bootstrap>` and its kind have no file.
    return frame.f_code.co_filename.startswith(("<", *_library_folders()))


@functools.cache
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["purelib"], paths["platlib"]}
    # Debian keeps packages beside the standard library, in a folder of another name.
    folders.add(os.path.join(sys.base_prefix, "lib"))
    return tuple(folder + os.sep for folder in folders)


def _place(frame: FrameType, line: int | None = None) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{line or frame.f_lineno} in {code.co_qualname}"
