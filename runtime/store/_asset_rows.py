"""What the catalog stores of assets, and how it is asked: plain values."""

from collections.abc import Sequence
from typing import Literal

import msgspec

Order = Literal["newest", "oldest", "name", "recorded"]
"""`recorded`: the last record first; within one scope that is an order whatever the clock said."""


class _Made(msgspec.Struct, frozen=True, kw_only=True):
    """Where who made it, or used it, belongs."""

    project: str | None
    experiment: str | None
    run: str | None
    execution: int | None
    task: str | None


MAKER = _Made.__struct_fields__
"""The fields that tell of it: the first of each row."""


class AssetRow(_Made, frozen=True, kw_only=True):
    """An asset, as it is indexed."""

    id: str
    kind: str
    name: str
    version: int
    created: float
    record: str
    """All of it, as JSON."""
    tags: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Ids of assets that it was made from."""


class UseRow(_Made, frozen=True, kw_only=True):
    """That a task has read an asset."""

    asset: str
    at: float
    record: str


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a manifest holds behind what is indexed."""

    token: str
    size: int
    is_anew: bool
    """Whether what is indexed of it is void."""
    assets: Sequence[AssetRow]
    uses: Sequence[UseRow]


class Found(msgspec.Struct, frozen=True):
    """A row of the answer."""

    record: str
    scope: str


class AssetQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which assets are asked for; None: it doesn't matter."""

    kinds: Sequence[str] = ()
    name: str | None = None
    version: int | None = None
    ids: Sequence[str] | None = None
    scope: str | None = None
    """A scope, relative to the workspace, with all below it; "" is the workspace itself."""
    scope_alone: bool = False
    """Whether what lies below it is left out."""
    scope_kind: str | None = None
    project: str | None = None
    experiment: str | None = None
    run: str | None = None
    execution: int | None = None
    task: str | None = None
    tags: Sequence[str] = ()
    source: str | None = None
    """Id of an asset that they were made from."""
    limit: int | None = None
    order: Order = "newest"


class UseQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which uses are asked for; None: it doesn't matter."""

    asset: str | None = None
    project: str | None = None
    experiment: str | None = None
    run: str | None = None
    execution: int | None = None
    task: str | None = None
