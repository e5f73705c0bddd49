"""Who made what from what: the graph, walked both ways."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.assets import Place, context_of, workspace
from trouper.runtime.assets._catalog import Catalog
from trouper.runtime.assets._data_assets import data_assets_of
from trouper.runtime.assets._lineage import Lineage, Maker, maker_of
from trouper.runtime.assets._run_assets import open_run_assets


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A workspace: raw -> clean -> (model, report); model -> report."""
    with workspace(tmp_path) as found:
        data_assets_of(found).import_asset("raw", __file__)
        assets = open_run_assets(found.run(), execution=1)
        clean, train, report = (context_of(assets, task) for task in ("clean", "train", "report"))
        clean.find_asset("raw")
        clean.artifact.save("clean", b"")
        train.artifact.load("clean")
        train.artifact.save("model", b"")
        report.artifact.load("model")
        report.find_asset("clean")
        report.artifact.save("report", b"")
        context_of(assets, "looker").artifact.load("model")
        yield found


@pytest.fixture
def lineage(place: Place) -> Lineage:
    return Catalog(place.store).lineage


def names(assets: object) -> list[str]:
    return [each.name for each in assets]  # type: ignore[attr-defined]  # of assets alone


def test_sources_and_products(place: Place, lineage: Lineage) -> None:
    by_name = {each.name: each for each in Catalog(place.store).query_assets()}
    assert names(lineage.sources(by_name["report"])) == ["clean", "model"]
    assert names(lineage.products(by_name["clean"])) == ["model", "report"]
    assert lineage.sources(by_name["raw"]) == []
    assert lineage.products(by_name["report"]) == []


def test_walks_give_each_once_nearest_first(place: Place, lineage: Lineage) -> None:
    by_name = {each.name: each for each in Catalog(place.store).query_assets()}
    assert names(lineage.upstream(by_name["report"])) == ["clean", "model", "raw"]
    assert names(lineage.downstream(by_name["raw"])) == ["clean", "model", "report"]


def test_makers(place: Place, lineage: Lineage) -> None:
    by_name = {each.name: each for each in Catalog(place.store).query_assets()}
    train = maker_of(by_name["model"].producer)
    assert train == Maker(run="r", project="p", experiment="e", execution=1, task="train")
    assert names(lineage.produces(train)) == ["model"]
    assert names(lineage.consumes(train)) == ["clean"]
    assert names(lineage.consumes(Maker(run="r"))) == ["raw", "clean", "model"]
    readers = [each.task for each in lineage.readers(by_name["model"])]
    assert readers == ["report", "looker"]
    assert len(Catalog(place.store).consumes("r")) == 5
