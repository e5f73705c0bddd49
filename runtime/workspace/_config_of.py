"""Under which configuration a run begins."""

from collections.abc import Mapping
from typing import Any

from ...actors._profile_config import ProfileConfig
from ..store._records import RunRecord
from ..store._verbs import Verb

AnyConfig = ProfileConfig | Mapping[str, Any]


def as_config(given: AnyConfig | None) -> ProfileConfig | None:
    """Return a profile of what may be a plain mapping."""
    if given is None or isinstance(given, ProfileConfig):
        return given
    return ProfileConfig(given)


def config_of(
    verb: Verb, given: ProfileConfig | None, said: ProfileConfig | None, record: RunRecord | None
) -> ProfileConfig:
    """Return the configuration of an execution.

    Args:
        given: to `run.start()`.
        said: to `experiment.run()`, where it became a part of what the run is.
        record: of the execution before, whose configuration `resume` and `rerun` take up.

    Raises:
        ValueError: two that differ were given, or what is recorded is not all of it.
    """
    if given is not None and said is not None and given.content_hash() != said.content_hash():
        raise ValueError(
            f"profile_config is not the one that the run was asked for with ({_named(said)}, now "
            f"{_named(given)}); leave it out, or ask the experiment for a run with this one"
        )
    chosen = given if given is not None else said
    if chosen is not None:
        return chosen
    if record is None or verb not in ("resume", "rerun"):
        return ProfileConfig()
    recorded = ProfileConfig(record.config, name=record.profile)
    if recorded.content_hash() != record.config_hash:
        raise ValueError(
            f"the configuration of the run {record.name!r} holds what is not recorded, as secrets "
            f"are; give it again: run.{verb}(profile_config=...)"
        )
    return recorded


def _named(config: ProfileConfig) -> str:
    name = "" if config.name is None else f"{config.name!r}, "
    return f"{name}hash {config.content_hash()[:12]}"
