"""Environment variables that override a configuration, with a file and without one (F41)."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_args

import msgspec

from ._read import level_of
from ._sections import SECTIONS

_RUN = (
    *("mode", "version", "queue", "interruptible", "raw_data_path", "run_base_dir"),
    *("overwrite_cache", "disable_run_cache", "cache_lookup_scope", "service_account"),
    *("log_level", "log_format", "reset_root_logger", "copy_style"),
)

VARIABLES: Mapping[str, tuple[str, str]] = {
    **{f"TROUPER_{key.upper()}": ("task", key) for key in ("org", "project", "domain")},
    **{f"TROUPER_{key.upper()}": ("run", key) for key in _RUN},
    **{
        f"TROUPER_{key.upper()}": ("storage", key)
        for key in ("durability", "busy_timeout", "max_bytes")
    },
    "TROUPER_HOME": ("storage", "root"),
}
"""Each variable, and the section and key that it overrides. An empty one counts as unset."""

FILE = "TROUPER_CONFIG"
"""Names a configuration file."""


_PREFIX = "TROUPER_"
_ALIKE = 0.8
"""How alike two names are, 0 to 1, of which one is a slip of the pen."""


def refuse_unknown(environment: Mapping[str, str]) -> None:
    """Refuse a variable that is all but one of ours: it would be overlooked.

    Raises:
        ValueError: with the name that was meant.
    """
    known = {name.removeprefix(_PREFIX): name for name in (*VARIABLES, FILE)}
    for variable in environment:
        name = variable.removeprefix(_PREFIX)
        if name == variable or name in known:
            continue
        close = get_close_matches(name, known, n=1, cutoff=_ALIKE)
        if close:
            raise ValueError(
                f"the environment: unknown variable {variable!r}; did you mean "
                f"{known[close[0]]!r}? Rename it, or unset it"
            )


def override(data: Mapping[str, dict[str, Any]], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return `data`, with what the environment says over it.

    Raises:
        ValueError: a variable can't be read as what its key takes.
    """
    found = {name: dict(section) for name, section in data.items()}
    for variable, (section, key) in VARIABLES.items():
        text = environment.get(variable)
        if not text:
            continue
        found.setdefault(section, {})[key] = _read(variable, text, section, key)
        if section == "task" and found.get("run", {}).get(key) is not None:
            # `run.project` of a file would win over `task.project`, and so over the variable.
            del found["run"][key]
    return found


def _read(variable: str, text: str, section: str, key: str) -> Any:
    if key == "log_level":
        return level_of(text, variable)
    fields = msgspec.structs.fields(SECTIONS[section])
    kind = next(field.type for field in fields if field.name == key)
    if kind == bool | None:
        text = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(text.lower(), text)
    # Text first, or "null" and "7" would be read as something else where text is meant.
    types = [each for each in get_args(kind) if each is not type(None)]
    try:
        return text if types == [str] else msgspec.convert(text, types[0], strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"{variable} can't be {text!r}: {error}; correct it, or unset it"
        ) from error
