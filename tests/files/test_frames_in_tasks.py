"""What a task gets and gives where data frames are handed over: annotations first, then the run."""

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import trouper
from harness.frames import frame_libraries
from trouper.io import DataFrame

__all__ = ["frame_libraries"]

pytestmark = pytest.mark.usefixtures("frame_libraries")

PANDAS = pd.DataFrame({"n": [1, 2], "s": ["a", None]}, index=pd.Index([5, 6], name="i"))
POLARS = pl.DataFrame({"n": [1, 2]})
ARROW = pa.table({"n": [1, 2]})


@pytest.fixture(params=[False, True], ids=["by reference", "native"])
def preserve(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def runner(preserve: bool, tmp_path: Any) -> trouper.Runner:
    raw = str(tmp_path / "raw")
    return trouper.with_runcontext(raw_data_path=raw, preserve_original_types=preserve)


def env() -> trouper.TaskEnvironment:
    return trouper.TaskEnvironment("frames")


@pytest.mark.parametrize("frame", [PANDAS, POLARS, ARROW], ids=["pandas", "polars", "arrow"])
def test_without_annotations_the_run_decides(
    frame: Any, preserve: bool, runner: trouper.Runner
) -> None:
    """`preserve_original_types`: a task gets the native frame, or its address."""
    seen: list[Any] = []
    tasks = env()

    @tasks.task
    async def make():  # type: ignore[no-untyped-def]  # that is what is tested
        return frame

    @tasks.task
    def look(given):  # type: ignore[no-untyped-def]  # likewise
        seen.append(given)
        return given

    @tasks.task
    async def root():  # type: ignore[no-untyped-def]  # likewise
        seen.append(await make())
        return await cast("Any", look)(seen[0])

    [output] = runner.run(root).outputs()
    expected = type(frame) if preserve else DataFrame
    assert [type(each) for each in (*seen, output)] == [expected] * 3
    found = output if preserve else output.read()
    assert type(found) is type(frame)
    assert found.equals(frame)
    if preserve:
        assert output is frame  # by reference, as all other values


def test_an_annotation_decides_before_the_run_does(runner: trouper.Runner) -> None:
    seen: list[Any] = []
    tasks = env()

    @tasks.task
    async def native(frame: pd.DataFrame | None) -> pd.DataFrame:
        seen.append(frame)
        assert frame is not None
        return frame

    @tasks.task
    def address(frame: DataFrame) -> DataFrame:
        seen.append(frame)
        return PANDAS  # type: ignore[no-any-return]  # it is taken, and saved

    @tasks.task
    async def root() -> None:
        first = await native(PANDAS)
        assert first is PANDAS
        saved = await address.aio(cast("Any", first))
        assert type(saved) is DataFrame
        again = await native(cast("Any", saved))
        pd.testing.assert_frame_equal(again, PANDAS)

    runner.run(root)
    assert [type(each) for each in seen] == [pd.DataFrame, DataFrame, pd.DataFrame]


def test_a_frame_of_another_kind_is_refused(runner: trouper.Runner) -> None:
    tasks = env()

    @tasks.task
    async def native(frame: pd.DataFrame) -> None: ...

    @tasks.task
    async def address(frame: DataFrame) -> None: ...

    @tasks.task
    async def root() -> None:
        with pytest.raises(TypeError, match="argument frame of task 'native' takes DataFrame"):
            await native(cast("Any", POLARS))
        with pytest.raises(TypeError, match="argument frame of task 'address' takes DataFrame"):
            await address(cast("Any", "a.parquet"))

    runner.run(root)


def test_an_address_is_read_as_the_kind_that_is_annotated(runner: trouper.Runner) -> None:
    tasks = env()

    @tasks.task
    def total(frame: pl.DataFrame) -> int:
        return int(frame["n"].sum())

    @tasks.task
    async def root() -> int:
        return await total.aio(cast("Any", await DataFrame.asave("n", PANDAS)))

    assert runner.run(root).outputs() == (3,)


def test_every_way_of_giving_an_argument_is_looked_at(
    preserve: bool, runner: trouper.Runner
) -> None:
    tasks = env()

    @tasks.task
    async def look(
        ctx: trouper.TaskContext, first: Any, /, *rest: Any, key: Any, **others: Any
    ) -> list[str]:
        return [type(each).__name__ for each in (first, *rest, key, *others.values(), ctx)]

    @tasks.task
    async def root() -> list[str]:
        return await look(ARROW, 1, ARROW, key=ARROW, other=ARROW, plain="x")

    native = "Table" if preserve else "DataFrame"
    expected = [native, "int", native, native, native, "str", "CallContext"]
    assert runner.run(root).outputs() == (expected,)


def test_members_of_a_tuple_are_outputs_of_their_own(
    preserve: bool, runner: trouper.Runner
) -> None:
    @env().task
    async def root() -> tuple[pd.DataFrame, int, Any]:
        return PANDAS, 3, POLARS

    outputs = runner.run(root).outputs()
    expected = [pd.DataFrame, int, pl.DataFrame] if preserve else [DataFrame, int, DataFrame]
    assert [type(each) for each in outputs] == expected


def test_what_a_run_gives_back_is_native_only_if_the_run_says_so(
    preserve: bool, runner: trouper.Runner
) -> None:
    @env().task
    def root() -> pd.DataFrame:
        return PANDAS

    [output] = runner.run(root).outputs()
    assert type(output) is (pd.DataFrame if preserve else DataFrame)


def test_an_address_that_a_run_gives_back_on_purpose_stays_one(runner: trouper.Runner) -> None:
    @env().task
    async def root() -> DataFrame:
        return await DataFrame.asave("n", POLARS)

    [output] = runner.run(root).outputs()
    assert type(output) is DataFrame


def test_arguments_of_the_run_itself_are_handed_over_too(
    preserve: bool, runner: trouper.Runner
) -> None:
    @env().task
    async def root(frame: Any, address: DataFrame) -> list[str]:
        return [type(frame).__name__, type(address).__name__, str(address.rows)]

    run = runner.run(root, ARROW, ARROW)
    assert run.outputs() == ([("Table" if preserve else "DataFrame"), "DataFrame", "2"],)


def test_streams_hand_over_what_they_yield(preserve: bool, runner: trouper.Runner) -> None:
    tasks = env()
    ended: list[str] = []

    @tasks.task
    async def stream(frame: Any) -> AsyncIterator[Any]:
        try:
            for number in range(3):
                yield frame if number else number
        finally:
            ended.append("ended")

    @tasks.task
    async def root() -> list[str]:
        seen: list[str] = []
        async with cast("Any", stream)(ARROW) as values:
            async for value in values:
                seen.append(type(value).__name__)
                if len(seen) == 2:
                    break
        return [*seen, *ended, *[type(each).__name__ async for each in cast("Any", stream)(1)]]

    native = "Table" if preserve else "DataFrame"
    assert runner.run(root).outputs() == (["int", native, "ended", "int", "int", "int"],)


def test_sync_tasks_call_each_other_in_one_thread(preserve: bool, runner: trouper.Runner) -> None:
    tasks = env()

    @tasks.task
    def inner(frame: Any) -> Any:
        return frame

    @tasks.task
    def root() -> str:
        return type(cast("Any", inner)(ARROW)).__name__

    assert runner.run(root).outputs() == ("Table" if preserve else "DataFrame",)


def test_a_decorated_task_that_hands_back_an_awaitable_is_looked_at(
    preserve: bool, runner: trouper.Runner
) -> None:
    def decorated(function: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            return function()

        return call

    async def make() -> Any:
        return ARROW

    tasks = env()
    made = tasks.task(name="made")(decorated(make))

    @tasks.task
    async def root() -> str:
        return type(await cast("Any", made)()).__name__

    assert runner.run(root).outputs() == ("Table" if preserve else "DataFrame",)


def test_tasks_without_room_for_a_frame_are_left_as_they_are() -> None:
    def plain(n: int, names: list[str]) -> dict[str, int] | None: ...

    def several(frame: pd.DataFrame | pl.DataFrame) -> None: ...

    def roomy(n: int) -> Any: ...

    tasks = env()
    assert tasks.task(plain).spec.function is plain
    assert tasks.task(several).spec.function is several
    assert tasks.task(roomy).spec.function is not roomy
    assert inspect.unwrap(cast("Any", tasks.tasks["roomy"])) is roomy


def test_a_run_without_a_place_for_frames_says_so() -> None:
    """And names both ways out."""

    @env().task
    async def root() -> Any:
        return ARROW

    with pytest.raises(trouper.errors.RuntimeUserError, match="raw_data_path") as caught:
        trouper.with_runcontext(workspace=False).run(root)
    assert caught.value.code == "NoStorage"
    native = trouper.with_runcontext(workspace=False, preserve_original_types=True)
    assert native.run(root).outputs() == (ARROW,)
