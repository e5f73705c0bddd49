"""The code of a run, found by its context: what its version is computed from."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...actors._run_context import VERSION, RunContext
from ..settings._init import current
from ._code import Code
from ._manifest import CopyStyle

KEY = "code"
"""Where it stands in `RunContext.kept`."""


def put_code(kept: dict[str, Any], style: CopyStyle, *, interactive: bool) -> None:
    """Let a run that is made know how its code is bundled. Reads nothing yet."""
    kept[KEY] = code = Code(style=style, interactive=interactive)
    kept[VERSION] = lambda: code.version


def say_code(context: RunContext, target: str, bodies: Sequence[Any]) -> None:
    """Say what a run is made of: the name of its task or workflow, its functions and objects."""
    code: Code | None = context.kept.get(KEY)
    if code is not None:
        code.target, code.bodies = target, bodies
        code.without = lambda: _no_code(context)


def code_of(context: RunContext) -> Code:
    """Return the code of a run that `with_runcontext` has made."""
    code: Code = context.kept[KEY]
    return code


def _no_code(context: RunContext) -> Iterator[Path]:
    """Yield the folders of what runs have made: else each run would have another version."""
    yield current().root
    for path in (context.raw_data_path, context.run_base_dir):
        local = path.removeprefix("file://")
        if local and "://" not in local:
            yield Path(local)
