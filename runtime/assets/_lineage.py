"""Who made what from what: a graph of assets and makers that can be walked both ways."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..store._asset_rows import AssetQuery, UseQuery
from ..store._store import Store
from ._records import Asset, Producer, Use, record_of
from ._shelf import asset_of


class Maker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task of an execution of a run; what is None is not told apart."""

    run: str | None = None
    project: str | None = None
    experiment: str | None = None
    execution: int | None = None
    task: str | None = None


def maker_of(producer: Producer) -> Maker:
    """Return who a producer is, without the attempt and the message."""
    return Maker(
        run=producer.run,
        project=producer.project,
        experiment=producer.experiment,
        execution=producer.execution,
        task=producer.task,
    )


class Lineage:
    """The graph. An asset comes from its maker and its sources; a maker has read assets."""

    def __init__(self, store: Store, root: Path, catch_up: Callable[[], None]) -> None:
        self._store = store
        self._root = root
        self._catch_up = catch_up

    def sources(self, asset: Asset) -> list[Asset]:
        """Return the assets that one was made from: its maker had read them before."""
        return self._select(AssetQuery(ids=asset.producer.consumes, order="oldest"))

    def products(self, asset: Asset) -> list[Asset]:
        """Return the assets that were made from one."""
        return self._select(AssetQuery(source=asset.id, order="oldest"))

    def readers(self, asset: Asset) -> list[Maker]:
        """Return who has read an asset, whether or not they made anything of it."""
        self._catch_up()
        uses = self._uses(UseQuery(asset=asset.id))
        return list(dict.fromkeys(maker_of(each.producer) for each in uses))

    def produces(self, maker: Maker) -> list[Asset]:
        """Return what a task has made, oldest first."""
        about = msgspec.structs.asdict(maker)
        return self._select(AssetQuery(**about, order="oldest"))

    def consumes(self, maker: Maker) -> list[Asset]:
        """Return the assets that a task has read."""
        ids = tuple(dict.fromkeys(each.asset for each in self.uses(maker)))
        return self._select(AssetQuery(ids=ids, order="oldest"))

    def uses(self, maker: Maker) -> list[Use]:
        """Return the records of what a task has read, oldest first."""
        self._catch_up()
        return self._uses(UseQuery(**msgspec.structs.asdict(maker)))

    def upstream(self, asset: Asset) -> Iterator[Asset]:
        """Give all that an asset comes from, nearest first, each once."""
        return self._walk(asset, self.sources)

    def downstream(self, asset: Asset) -> Iterator[Asset]:
        """Give all that comes from an asset, nearest first, each once."""
        return self._walk(asset, self.products)

    def _walk(self, asset: Asset, step: Callable[[Asset], list[Asset]]) -> Iterator[Asset]:
        seen, edge = {asset.id}, [asset]
        while edge:
            reached: list[Asset] = []
            for each in (near for at in edge for near in step(at)):
                if each.id not in seen:
                    seen.add(each.id)
                    reached.append(each)
            yield from reached
            edge = reached

    def _select(self, query: AssetQuery) -> list[Any]:
        self._catch_up()
        return [asset_of(each, self._root) for each in self._store.assets.select(query)]

    def _uses(self, query: UseQuery) -> list[Use]:
        found = [record_of(each.encode()) for each in self._store.assets.uses(query)]
        return [each for each in found if isinstance(each, Use)]
