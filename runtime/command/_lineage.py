"""`trouper assets lineage`: what an asset was made from, and what was made from it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from .._cli_text import count, plain
from ..assets._lineage import Lineage
from ..assets._records import Asset
from ._assets import Wanted, as_plain, find_asset, maker, opened, size_of, where
from ._measures import size_text

_LINES = 1_000
"""Assets that are shown in each direction; JSON has all."""


def lineage_lines(reference: str, wanted: Wanted, *, as_json: bool) -> Iterator[str]:
    """Yield an asset's sources as a tree, then its products, then who has read it.

    Raises:
        Problem: there is no such asset, or several could be meant.
    """
    with opened(wanted.root) as (workspace, catalog):
        asset = find_asset(workspace, catalog, reference, wanted)
        graph = catalog.lineage
        lines = [_as_json(graph, asset)] if as_json else list(_as_text(graph, asset))
    yield from lines


def _as_text(graph: Lineage, asset: Asset) -> Iterator[str]:
    yield _line(asset)
    yield "made from" if asset.producer.consumes else "made from nothing that was recorded"
    yield from _tree(asset, graph.sources)
    products = list(_tree(asset, graph.products))
    yield "used for" if products else "nothing was made from it"
    yield from products
    readers = graph.readers(asset)
    if readers:
        yield f"read by {count(len(readers), 'task')}"
        for each in readers:
            yield f"  {plain(each.task or '-')} of run {plain(each.run or '-')}"


def _tree(asset: Asset, step: Callable[[Asset], list[Asset]]) -> Iterator[str]:
    """Yield a line for each asset, below the one that leads to it; what is there twice once."""
    seen = {asset.id}
    waiting = [(each, 1) for each in reversed(step(asset))]
    told = 0
    while waiting and told < _LINES:
        each, depth = waiting.pop()
        told += 1
        indent = "  " * min(depth, 20)
        if each.id in seen:
            yield f"{indent}{_line(each)}, as above"
            continue
        seen.add(each.id)
        yield f"{indent}{_line(each)}"
        waiting += [(more, depth + 1) for more in reversed(step(each))]
    if waiting:
        yield "  and more; --json has all"


def _line(asset: Asset) -> str:
    return (
        f"{asset.kind} {plain(asset.name)} v{asset.version}, {size_text(size_of(asset))}, "
        f"made by {maker(asset)} in {where(asset)}  {asset.id}"
    )


def _as_json(graph: Lineage, asset: Asset) -> str:
    up, down = list(graph.upstream(asset)), list(graph.downstream(asset))
    known = {each.id: each for each in (asset, *up, *down)}
    edges = [
        {"from": source, "to": each.id}
        for each in known.values()
        for source in each.producer.consumes
        if source in known
    ]
    found: dict[str, Any] = {
        "asset": as_plain(asset),
        "upstream": [as_plain(each) for each in up],
        "downstream": [as_plain(each) for each in down],
        "edges": edges,
        "readers": [
            {"run": each.run, "task": each.task, "execution": each.execution}
            for each in graph.readers(asset)
        ],
    }
    return json.dumps(found, indent=2)
