"""How much each table holds; the schema says what falls out."""

from attrs import Attribute, field, frozen


def _positive(_limits: object, attribute: "Attribute[int]", value: int) -> None:
    if value < 1:
        raise ValueError(f"{attribute.name} must be 1 or more, got {value!r}")


@frozen(kw_only=True)
class Limits:
    """The bounds of the tables."""

    executions: int = field(default=100_000, validator=_positive)
    """Executions that are kept; the oldest that have ended fall out."""
    actions: int = field(default=1_000_000, validator=_positive)
    """Actions recorded of one execution; further ones are counted only."""
    waiting_actions: int = field(default=100_000, validator=_positive)
    """Records that wait in memory while the disk does not take them; the oldest are lost."""
    results: int = field(default=10_000, validator=_positive)
    """Keys in the result map of one run; more is refused."""
    result_bytes: int = field(default=16 << 20, validator=_positive)
    """Of one value there; a larger one is refused."""
    cache_entries: int = field(default=100_000, validator=_positive)
    """Values in the cache; those used longest ago fall out."""
    cache_bytes: int = field(default=1 << 30, validator=_positive)
    """All values of the cache together; likewise."""
    cache_value_bytes: int = field(default=64 << 20, validator=_positive)
    """Of one cached value; a larger one is not kept."""
