"""What the lines of a manifest mean for the catalog."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..store._asset_rows import MAKER, AssetRow, Changes, UseRow
from ._manifest import read_manifest
from ._records import Asset, Producer, Use, line_of


def changes_behind(path: Path, token: str, size: int) -> Changes | None:
    """Return what a manifest holds behind what is indexed; None: it is not there."""
    read = read_manifest(path, token, size)
    if read is None:
        return None
    return changes_of(read.lines, token=read.token, size=read.size, is_anew=read.is_anew)


def changes_of(
    lines: Iterable[Asset | Use], *, token: str = "", size: int = 0, is_anew: bool = False
) -> Changes:
    """Return what lines of a manifest mean for the catalog."""
    assets: list[AssetRow] = []
    uses: list[UseRow] = []
    for line in lines:
        if isinstance(line, Use):
            uses.append(_use_row(line))
        else:
            assets.append(_asset_row(line))
    return Changes(token=token, size=size, is_anew=is_anew, assets=assets, uses=uses)


def _asset_row(asset: Any) -> AssetRow:
    return AssetRow(
        id=asset.id,
        kind=asset.kind,
        name=asset.name,
        version=asset.version,
        created=asset.created,
        record=line_of(asset)[:-1].decode(),
        tags=asset.tags,
        sources=asset.producer.consumes,
        **_maker(asset.producer),
    )


def _use_row(use: Use) -> UseRow:
    return UseRow(
        asset=use.asset,
        at=use.at,
        record=line_of(use)[:-1].decode(),
        **_maker(use.producer),
    )


def _maker(by: Producer) -> dict[str, Any]:
    return {name: getattr(by, name) for name in MAKER}
