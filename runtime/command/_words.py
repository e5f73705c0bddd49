"""The words of `trouper run`: which are its own, and which the task's.

Rule 1: what stands before the task's name is trouper's; so a task may have a parameter of any name.
Rule 2: behind it the task's flags come first, and what it has no flag for is trouper's.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import frozen

from .._cli_problem import Problem
from .._cli_text import plain
from .._names import suggest


@frozen
class Words:
    """The words behind `trouper run`, in two parts."""

    own: tuple[str, ...]
    """Options of the run, and the file."""
    task: str | None = None
    """As it is called behind the file; None: not there, it may stand in FILE:OBJECT."""
    behind: tuple[str, ...] = ()
    """All that follows the task's name, or FILE:OBJECT."""


def split_words(words: Sequence[str], switches: Iterable[str]) -> Words:
    """Return the words in their parts.

    Args:
        switches: the run's flags that take no value.
    """
    known = frozenset(switches)
    at, target = 0, None
    while at < len(words):
        word = words[at]
        if word.startswith("-") and word != "-":
            at += 1 if "=" in word or word in known else 2
            continue
        if target is not None:
            return Words(tuple(words[:at]), word, tuple(words[at + 1 :]))
        target = word
        at += 1
        if _names_an_object(word):
            return Words(tuple(words[:at]), None, tuple(words[at:]))
    return Words(tuple(words))


def _names_an_object(target: str) -> bool:
    """Tell whether it is FILE:OBJECT; whether there are such is found out later."""
    file, colon, name = target.rpartition(":")
    return bool(colon and file) and name.isidentifier() and not Path(target).is_file()


@frozen
class Given:
    """One flag that was given to a task."""

    flag: str
    """As it was written: `--n`, `--no-fast`."""
    text: str | None
    """What stands behind it; None: nothing does, it is a switch."""


@frozen(kw_only=True)
class TaskWords:
    """What stands behind a task's name."""

    given: tuple[Given, ...]
    others: tuple[str, ...]
    """Flags that the task doesn't have, with their values: trouper's."""
    wants_help: bool


def read_task_words(
    words: Sequence[str],
    *,
    task: str,
    flags: Iterable[str],
    switches: Iterable[str],
    own: Iterable[str],
    own_switches: Iterable[str],
) -> TaskWords:
    """Return whose each word is.

    Args:
        task: its name, for errors.
        flags: of the task, those that take a value.
        switches: of the task, those that need none.
        own: the run's flags, all of them.
        own_switches: those of them that take no value.

    Raises:
        Problem: a flag is unknown or has no value, or a word is no flag.
    """
    values, bare = frozenset(flags), frozenset(switches)
    runs, run_bare = frozenset(own), frozenset(own_switches)
    given: list[Given] = []
    others: list[str] = []
    left = list(reversed(words))
    wants_help = False
    while left:
        word = left.pop()
        flag, equals, text = word.partition("=")
        if flag in values:
            given.append(Given(flag, text if equals else _next(flag, left)))
        elif flag in bare:
            given.append(Given(flag, text if equals else None))
        elif word in ("--help", "-h"):
            wants_help = True
        elif flag in runs:
            others.append(word)
            if not equals and flag not in run_bare:
                others.append(_next(flag, left))
        else:
            raise Problem(_refusal(task, word, [*values, *bare], runs))
    return TaskWords(given=tuple(given), others=tuple(others), wants_help=wants_help)


def _next(flag: str, left: list[str]) -> str:
    if not left:
        raise Problem(f"{plain(flag)} needs a value; write {plain(flag)} VALUE")
    return left.pop()


def _refusal(task: str, word: str, flags: Iterable[str], own: Iterable[str]) -> str:
    if not word.startswith("-"):
        return f"{plain(word)!r} is no flag; arguments of a task are given by name, as in --n 21"
    flag = word.partition("=")[0]
    hint = suggest(flag, flags)
    if "did you mean" not in hint and "did you mean" in suggest(flag, own):
        hint = suggest(flag, own)
    return f"task {task!r} has no {plain(flag)};{hint}"
