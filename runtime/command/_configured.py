"""The configuration of trouper that a command runs under, as `init_from_config` finds it.

Rule: a program that has called `trouper.init*` itself, or calls it while its file is loaded, has
its own.
"""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .._cli_problem import Problem
from .._cli_text import plain
from ..settings._init import find_config, forget, init_from_config, is_initialised


@contextmanager
def configured(
    settings: str | None = None,
    *,
    instead: str,
    profiles: Sequence[str] = (),
) -> Generator[None, None, None]:
    """Read the configuration file there is, for as long as the command runs.

    Args:
        settings: the file; None: the one that is found.
        instead: what to say if what was found is another program's, for the error.
        profiles: files that are known to be something else: those of `--config`.

    Raises:
        Problem: it can't be read or understood.
    """
    if is_initialised():
        yield
        return
    found = find_config(os.environ) if settings is None else Path(settings)
    try:
        if found is not None and (settings is not None or not _is_one_of(found, profiles)):
            init_from_config(found)
    except OSError as error:
        raise Problem(f"the settings {plain(found)} can't be read: {error.strerror}") from None
    except ValueError as error:
        more = f". If it is no configuration of trouper, {instead}" if settings is None else ""
        raise Problem(f"{plain(error, 2_000)}{more}") from None
    try:
        yield
    finally:
        forget()


@contextmanager
def configured_place(root: str | None) -> Generator[None, None, None]:
    """Read it for a command that looks at a workspace, unless it is told where that is."""
    if root is not None:
        yield
        return
    with configured(instead="say where the workspace is: --root FOLDER"):
        yield


def _is_one_of(file: Path, others: Sequence[str]) -> bool:
    return any(os.path.exists(each) and os.path.samefile(file, each) for each in others)
