"""`trouper assets ls`, `show`, `path` and `cat`: which there are, and what one of them holds."""

import json
import sys
from base64 import b64encode
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from attrs import frozen

from .._cli_problem import Problem
from .._cli_text import columns, plain, plain_lines
from .._names import suggest
from ..assets._bucket import in_bucket
from ..assets._catalog import Catalog
from ..assets._contents import CHUNK
from ..assets._records import KINDS, Asset, DataAsset, LogAsset, SizedAsset
from ..store._asset_rows import AssetQuery, Order
from ..workspace._names import folder_of
from ..workspace._workspace import Workspace
from ._measures import age_text, size_text
from ._places import find_run, opened_catalog, opened_workspace

_CHOICES = 10
"""At most so many assets are listed where a name fits several."""


@frozen(kw_only=True)
class Wanted:
    """Which assets a command is about."""

    root: str | None = None
    kind: str | None = None
    name: str | None = None
    version: int | None = None
    project: str | None = None
    experiment: str | None = None
    run: str | None = None
    task: str | None = None
    tags: Sequence[str] = ()
    order: Order = "newest"
    limit: int = 0
    """0: all."""


@contextmanager
def opened(root: str | None) -> Generator[tuple[Workspace, Catalog], None, None]:
    """Give a workspace and its catalog, up to date.

    Raises:
        Problem: there is none, or it can't be read.
    """
    with opened_workspace(root) as workspace, opened_catalog(workspace) as store:
        catalog = Catalog(store)
        catalog.catch_up()
        yield workspace, catalog


def list_lines(wanted: Wanted, *, as_json: bool) -> Iterator[str]:
    """Yield a line for each asset.

    Raises:
        Problem: there is no workspace, it can't be read, or there is no such kind or run.
    """
    with opened(wanted.root) as (workspace, catalog):
        found = catalog.select(query_of(workspace, wanted))
        # Sizes of logs are those of their files now.
        rows = [_row(each) for each in found]
    if as_json:
        yield json.dumps([as_plain(each) for each in found], indent=2)
    elif rows:
        head = ("ID", "KIND", "NAME", "V", "SIZE", "AGE", "MADE BY", "WHERE")
        yield from columns([head, *rows], indent="")
    else:
        yield "no assets"


def query_of(workspace: Workspace, wanted: Wanted) -> AssetQuery:
    """Return what the catalog is asked."""
    if wanted.kind is not None and wanted.kind not in KINDS:
        raise Problem(f"there is no kind {plain(wanted.kind)!r};{suggest(wanted.kind, KINDS)}")
    return AssetQuery(
        kinds=() if wanted.kind is None else (wanted.kind,),
        name=wanted.name,
        version=wanted.version,
        scope=_scope(workspace, wanted),
        task=wanted.task,
        tags=tuple(wanted.tags),
        limit=wanted.limit or None,
        order=wanted.order,
    )


def _scope(workspace: Workspace, wanted: Wanted) -> str | None:
    """Return the folder that the assets have to lie in, relative to the workspace."""
    if wanted.run is not None:
        if wanted.project is not None or wanted.experiment is not None:
            raise Problem(
                "--run says where it is: leave out --project and --experiment, or write "
                "--run PROJECT/EXPERIMENT/NAME"
            )
        key = find_run(workspace, wanted.run).key
        return f"{_experiment(key.project, key.experiment)}/runs/{key.name}"
    if wanted.experiment is not None:
        return _experiment(wanted.project or "default", wanted.experiment)
    return None if wanted.project is None else f"projects/{folder_of(wanted.project)}"


def _experiment(project: str, experiment: str) -> str:
    return f"projects/{folder_of(project)}/experiments/{folder_of(experiment, 'experiment')}"


def find_asset(workspace: Workspace, catalog: Catalog, reference: str, wanted: Wanted) -> Asset:
    """Return the asset that an id, or a name, stands for: of a name, the newest version.

    Raises:
        Problem: there is none, or several could be meant.
    """
    by_id = catalog.select(AssetQuery(ids=(reference,), limit=1))
    if by_id:
        asset: Asset = by_id[0]
        return asset
    query = msgspec.structs.replace(query_of(workspace, wanted), name=reference, limit=None)
    newest: dict[tuple[str, str], Asset] = {}
    for each in catalog.select(query):
        known = newest.get((each.scope, each.kind))
        if known is None or each.version > known.version:
            newest[each.scope, each.kind] = each
    if len(newest) == 1:
        return next(iter(newest.values()))
    if newest:
        raise Problem(_several(reference, list(newest.values())))
    known_names = {each.name for each in catalog.select(AssetQuery(limit=1_000))}
    hint = plain(suggest(reference, sorted(known_names)))
    raise Problem(f"there is no asset {plain(reference)!r} so;{hint}")


def _several(reference: str, found: Sequence[Asset]) -> str:
    lines = [f"  {each.id}  {each.kind} in {where(each)}" for each in found[:_CHOICES]]
    more = [f"  and {len(found) - _CHOICES} more"] if len(found) > _CHOICES else []
    return "\n".join(
        [
            f"{plain(reference)!r} is the name of several; give --run, --kind, or the id of one:",
            *lines,
            *more,
        ]
    )


def _row(asset: Asset) -> tuple[str, ...]:
    return (
        asset.id,
        asset.kind,
        plain(asset.name, 60),
        str(asset.version),
        size_text(size_of(asset)),
        age_text(asset.created),
        maker(asset),
        where(asset),
    )


def size_of(asset: Asset) -> int:
    """Return its bytes: of a log, those that it has now."""
    return asset.size if isinstance(asset, SizedAsset | LogAsset) else 0


def maker(asset: Asset) -> str:
    """Return the task and attempt that made it, harmless; `-` if it was made outside of any."""
    by = asset.producer
    again = f" #{by.attempt}" if by.attempt is not None and by.attempt > 1 else ""
    return f"{plain(by.task, 60)}{again}" if by.task is not None else "-"


def where(asset: Asset) -> str:
    """Return its scope as `project/experiment/run`, harmless; `.` is the workspace."""
    return plain("/".join(asset.scope.split("/")[1::2]) or ".", 120)


def as_plain(asset: Asset) -> dict[str, Any]:
    """Return what a program gets of an asset: its whole record, where it lies and how large."""
    record: dict[str, Any] = msgspec.to_builtins(asset)
    record.pop("root", None)
    more: dict[str, Any] = {"kind": asset.kind, "version": asset.version, "scope": asset.scope}
    return {**record, **more, **_where_it_lies(asset), "size": size_of(asset)}


def _where_it_lies(asset: Asset) -> dict[str, str | None]:
    """Return its path, None where it is in a bucket, and its URL."""
    is_here = in_bucket(asset.file) is None
    return {"path": str(asset.path) if is_here else None, "uri": asset.uri}


def _place(asset: Asset) -> str:
    """Return its path; where it is in a bucket, its URL."""
    return _where_it_lies(asset)["path"] or asset.uri


def show_lines(reference: str, wanted: Wanted, *, as_json: bool) -> Iterator[str]:
    """Yield all that is known of an asset.

    Raises:
        Problem: as `find_asset`.
    """
    with opened(wanted.root) as (workspace, catalog):
        asset = find_asset(workspace, catalog, reference, wanted)
    if as_json:
        yield json.dumps(as_plain(asset), indent=2)
        return
    yield f"{asset.kind} {plain(asset.name)}, version {asset.version}, {size_text(size_of(asset))}"
    for key, value in _facts(asset).items():
        if value:
            yield f"{key}: {plain(value, 2_000)}"


def _facts(asset: Asset) -> dict[str, Any]:
    by = asset.producer
    message = by.message
    facts: dict[str, Any] = {
        "id": asset.id,
        "where": where(asset),
        "path": _place(asset),
        "age": age_text(asset.created),
        "type": asset.mime,
        "hash": getattr(asset, "hash", ""),
        "tags": ", ".join(asset.tags),
        "imported from": getattr(asset, "source", ""),
        "before it": getattr(asset, "previous", None),
        "made by": maker(asset) if by.task is not None else "",
        "of run": by.run,
        "execution": by.execution,
        "message": None if message is None else f"{message.id}, attempt {message.attempt}",
        "upstream": ", ".join(by.upstream),
        "made from": f"{len(by.consumes)}; see trouper assets lineage" if by.consumes else "",
    }
    if isinstance(asset, LogAsset):
        facts["lines"] = f"{asset.lines:,}"
        facts["last line"] = age_text(asset.modified)
    return facts


def path_lines(reference: str, wanted: Wanted, *, as_json: bool) -> Iterator[str]:
    """Yield where an asset lies: on a terminal harmless, else as it is.

    Raises:
        Problem: as `find_asset`.
    """
    with opened(wanted.root) as (workspace, catalog):
        asset = find_asset(workspace, catalog, reference, wanted)
    if as_json:
        yield json.dumps(_where_it_lies(asset), indent=2)
    else:
        path = _place(asset)
        yield plain(path, len(path) + 1) if sys.stdout.isatty() else path


def cat(reference: str, wanted: Wanted, *, as_json: bool) -> None:
    """Write what an asset holds to stdout: on a terminal as harmless text, else byte by byte.

    Raises:
        Problem: as `find_asset`; or it is a folder, its file is gone, or no text.
    """
    with opened(wanted.root) as (workspace, catalog):
        asset = find_asset(workspace, catalog, reference, wanted)
        if isinstance(asset, DataAsset) and asset.is_folder:
            raise Problem(f"{plain(asset.name)} is a folder; `trouper assets path` says where")
        if as_json:
            print(json.dumps(_content(asset), indent=2))
        elif sys.stdout.isatty():
            _show(asset)
        else:
            _stream(asset)


def _content(asset: Asset) -> dict[str, str]:
    with asset.open() as file:
        content = file.read()
    try:
        return {"id": asset.id, "text": content.decode()}
    except UnicodeDecodeError:
        return {"id": asset.id, "base64": b64encode(content).decode()}


def _show(asset: Asset) -> None:
    with asset.open() as file:
        for number, line in enumerate(file):
            if number == 0 and b"\0" in line:
                raise Problem(
                    f"{plain(asset.name)} is no text ({size_text(size_of(asset))}); send it into "
                    "a file or a program: trouper assets cat ... > FILE"
                )
            for text in plain_lines(line.decode("utf-8", "backslashreplace").rstrip("\n")):
                print(text)


def _stream(asset: Asset) -> None:
    sys.stdout.flush()
    with asset.open() as file:
        while chunk := file.read(CHUNK):
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
