"""What a project or experiment may be called, and which folder its name stands for.

Rule 1: two names never share a folder, and no name leaves the one that it lies in (F15).
Rule 2: the folder says the name: `name_of(folder_of(name)) == name`.
"""

from functools import lru_cache
from urllib.parse import quote, unquote

from ...actors._run_context import RunContext
from ..store._records import RunKey

LONGEST = 128
"""Characters of a name."""
_LONGEST_FOLDER = 240
"""Bytes of a folder's name: file systems allow 255."""
_SAFE = "-_.,+= ()[]"
"""Besides letters and digits."""


@lru_cache(maxsize=1024)
def folder_of(name: str, what: str = "project") -> str:
    """Return the name of the folder of a project or experiment.

    Raises:
        TypeError: the name is no str.
        ValueError: it is empty, too long, or can't be shown or addressed.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # from anybody
        raise TypeError(f"the name of a {what} is a str, got {name!r}")
    problem = _what_is_wrong(name)
    if problem is not None:
        raise ValueError(f"no {what} can be called {name[:140]!r}: {problem}")
    quoted = quote(name, safe=_SAFE)
    # Nothing hidden, and nothing that some systems cut off.
    if quoted[0] == ".":
        quoted = f"%2E{quoted[1:]}"
    if quoted[-1] == ".":
        quoted = f"{quoted[:-1]}%2E"
    if len(quoted) > _LONGEST_FOLDER:
        raise ValueError(
            f"no {what} can be called {name!r}: its folder's name would have {len(quoted)} bytes, "
            f"and at most {_LONGEST_FOLDER} are allowed; choose a shorter one"
        )
    return quoted


def _what_is_wrong(name: str) -> str | None:
    if not name:
        return "it is empty; give it at least one letter"
    if len(name) > LONGEST:
        return f"it has {len(name)} characters; use at most {LONGEST}"
    if "/" in name:
        return "'/' stands between project, experiment and run; leave it out"
    if name in (".", ".."):
        return "it means a folder of its own; use letters"
    if name != name.strip():
        return f"it begins or ends with a space; {name.strip()!r} would do"
    if not name.isprintable():
        wrong = next(each for each in name if not each.isprintable())
        return f"{wrong!r} can't be shown; leave it out"
    return None


def key_of_run(key: RunKey) -> str:
    """Return the folder of a run, relative to the workspace."""
    project, experiment = folder_of(key.project), folder_of(key.experiment, "experiment")
    return f"projects/{project}/experiments/{experiment}/runs/{key.name}"


def name_of(folder: str) -> str:
    """Return the name that a folder was made for."""
    return unquote(folder)


def check_run_id(name: str) -> str:
    """Return the id of a run, if it is legal.

    Raises:
        TypeError: it is no str.
        ValueError: it is not legal; the text says what is.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # from anybody
        raise TypeError(f"the id of a run is a str, got {name!r}")
    try:
        RunContext(run_name=name)
    except ValueError as error:
        raise ValueError(str(error).replace("run_name", "the id of a run", 1)) from None
    return name
