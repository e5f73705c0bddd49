"""Where assets belong: to a run, an experiment, a project, or the workspace."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

from ..store._store import Store

ScopeKind = Literal["workspace", "project", "experiment", "run"]

_BELOW: tuple[tuple[str, ScopeKind], ...] = (
    ("projects", "project"),
    ("experiments", "experiment"),
    ("runs", "run"),
)


class Scope(Protocol):
    """What this package asks of a workspace, project, experiment or run."""

    @property
    def kind(self) -> ScopeKind: ...
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def parent(self) -> "Scope | None": ...
    @property
    def store(self) -> Store: ...


def key_of(scope: Scope) -> str:
    """Return a scope's folder as a path relative to the workspace; "" is the workspace."""
    *_, root = upwards(scope)
    relative = scope.path.relative_to(root.path).as_posix()
    return "" if relative == "." else relative


def kind_of(key: str) -> ScopeKind | None:
    """Return what lies at a path relative to the workspace; None: no scope can."""
    parts = key.split("/") if key else []
    if len(parts) % 2 or len(parts) > 2 * len(_BELOW):
        return None
    kind: ScopeKind = "workspace"
    for folder, (expected, below) in zip(parts[::2], _BELOW, strict=False):
        if folder != expected:
            return None
        kind = below
    return kind


def upwards(scope: Scope) -> Iterator[Scope]:
    """Give a scope and those above it, nearest first."""
    at: Scope | None = scope
    while at is not None:
        yield at
        at = at.parent


def chain(key: str) -> Iterator[str]:
    """Give the keys of a scope and of those above it, nearest first."""
    yield key
    while key:
        key = "/".join(key.split("/")[:-2])
        yield key
