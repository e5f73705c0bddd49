"""Whatever is done to the assets of a workspace: the catalog equals its rebuild, and a model."""

import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from harness.assets import Place, context_of, workspace
from trouper.runtime.assets._catalog import Catalog
from trouper.runtime.assets._data_assets import data_assets_of
from trouper.runtime.assets._run_assets import RunAssets, open_run_assets
from trouper.runtime.assets._shelf import Shelf, shelf_at

RUNS = st.sampled_from(["one", "two"])
NAMES = st.sampled_from(["a", "b/c", "ä"])
TASKS = st.sampled_from(["train", "test"])
TAGS = st.lists(st.sampled_from(["x", "y"]), max_size=2)
WHO = st.integers(0, 1)

Row = tuple[str, str, str, int, str]
"""(scope, kind, name, version, task)"""


class TheCatalogIsWhatTheManifestsSay(RuleBasedStateMachine):
    """Two processes, as two stores of one workspace, keep things for two runs."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.root = Path(self.stack.enter_context(tempfile.TemporaryDirectory()), "ws")
        self.places = [self.stack.enter_context(workspace(self.root)) for _ in range(2)]
        self.model: list[Row] = []

    def teardown(self) -> None:
        self.stack.close()

    def assets(self, who: int, run: str) -> RunAssets:
        return open_run_assets(self.places[who].run(run), execution=1)

    def context(self, who: int, run: str, task: str) -> Any:
        return context_of(self.assets(who, run), task)

    def expect(self, asset: Any, task: str | None) -> None:
        version = 1 + max(
            (row[3] for row in self.model if row[:3] == (asset.scope, asset.kind, asset.name)),
            default=0,
        )
        assert asset.version == version
        self.model.append((asset.scope, asset.kind, asset.name, version, task or ""))

    # -- what is done ------------------------------------------------------------------------

    @rule(who=WHO, run=RUNS, name=NAMES, task=TASKS, tags=TAGS)
    def save(self, who: int, run: str, name: str, task: str, tags: list[str]) -> None:
        self.expect(self.context(who, run, task).artifact.save(name, b"", tags=tags), task)

    @rule(who=WHO, run=RUNS, name=NAMES, task=TASKS)
    def checkpoint(self, who: int, run: str, name: str, task: str) -> None:
        self.expect(self.context(who, run, task).checkpoint(name, data=1), task)

    @rule(who=WHO, run=RUNS, name=NAMES, task=TASKS)
    def log(self, who: int, run: str, name: str, task: str) -> None:
        log = self.context(who, run, task).log(name)
        log.append("line")
        log.flush()
        key = self.assets(who, run).key
        if not any(row[:3] == (key, "log", name) for row in self.model):
            self.model.append((key, "log", name, 1, task))

    @rule(who=WHO, name=NAMES)
    def import_data(self, who: int, name: str) -> None:
        self.expect(data_assets_of(self.places[who]).import_asset(name, __file__), None)

    @rule(who=WHO, run=RUNS, name=NAMES, task=TASKS)
    def read(self, who: int, run: str, name: str, task: str) -> None:
        found = self.context(who, run, task).find_asset(name)
        key = self.assets(who, run).key
        near = [row for row in self.model if row[0] == key and row[2] == name]
        far = [row for row in self.model if row[0] == "" and row[2] == name]
        assert (found is None) == (not near and not far)
        if found is not None:
            assert found.scope == (key if near else "")

    @rule(who=WHO, run=RUNS)
    def close(self, who: int, run: str) -> None:
        self.assets(who, run).close()

    @rule(who=WHO)
    def rebuild(self, who: int) -> None:
        Catalog(self.places[who].store).rebuild()

    @rule(who=WHO)
    def lose_the_catalog(self, who: int) -> None:
        self.places[who].store.assets.forget_all()
        Catalog(self.places[who].store).rebuild()

    @precondition(lambda self: self.model)
    @rule(who=WHO, run=RUNS)
    def remove(self, who: int, run: str) -> None:
        """Somebody removes the folder of a run."""
        key = self.assets(who, run).key
        for place in self.places:
            shelf = shelf_at(place.store, key)
            assert isinstance(shelf, Shelf)
            shelf.release()
            place.store.shelves.pop(key, None)
        shutil.rmtree(self.root / key, ignore_errors=True)
        Catalog(self.places[who].store).rebuild()
        self.model = [row for row in self.model if row[0] != key]

    # -- what holds --------------------------------------------------------------------------

    def look(self, place: Place) -> tuple[list[Any], list[Any]]:
        catalog = Catalog(place.store)
        found = catalog.query_assets(order="oldest")
        return found, [catalog.lineage.readers(each) for each in found]

    @invariant()
    def the_catalog_is_the_model(self) -> None:
        found, readers = self.look(self.places[0])
        rows = [(a.scope, a.kind, a.name, a.version, a.producer.task or "") for a in found]
        assert sorted(rows) == sorted(self.model)
        assert all(each.path.exists() for each in found)
        assert (found, readers) == self.look(self.places[1])

    @invariant()
    def it_equals_its_rebuild(self) -> None:
        """F14"""
        before = self.look(self.places[0])
        Catalog(self.places[1].store).rebuild()
        assert self.look(self.places[0]) == before


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5))
def test_versions_and_the_rebuild_do_not_depend_on_the_clock(jumps: list[float]) -> None:
    begun = time.time()
    with (
        tempfile.TemporaryDirectory() as folder,
        workspace(Path(folder, "ws")) as place,
        pytest.MonkeyPatch.context() as patch,
    ):
        ctx = context_of(open_run_assets(place.run()))
        for number, jump in enumerate(jumps, 1):
            patch.setattr(time, "time", lambda jump=jump: begun + jump)
            assert ctx.artifact.save("a", str(number)).version == number
            assert ctx.checkpoint("c", data=number).version == number
            assert ctx.find_asset("a").load() == str(number)
            assert ctx.restore("c") == number
        catalog = Catalog(place.store)
        before = catalog.query_assets(order="name")
        assert [each.version for each in before] == [*range(1, len(jumps) + 1)] * 2
        catalog.rebuild()
        assert catalog.query_assets(order="name") == before
        assert ctx.find_asset("a").load() == str(len(jumps))


TestCatalogModel = TheCatalogIsWhatTheManifestsSay.TestCase
TestCatalogModel.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
