"""What stays of a failure: text and numbers, nothing that lives (X17)."""

import copy
import gc
import pickle
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NoReturn

import msgspec
import pytest

import trouper
from trouper import FailureSummary
from trouper.actors._failure import OURS, summarize


class Large:
    """Stands for a large local of a body that fails."""


class OddError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def caught(fail: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as info:  # noqa: PT011  # whatever it is
        fail()
    return info.value


def boom() -> None:
    raise ValueError("boom")


def deep(n: int) -> None:
    if n:
        deep(n - 1)
    boom()


def test_it_tells_type_message_notes_and_place() -> None:
    exc = caught(boom)
    exc.add_note("while reading a.csv")
    summary = summarize(exc)
    line = boom.__code__.co_firstlineno + 1
    assert (summary.type, summary.message) == ("ValueError", "boom")
    assert summary.notes == ("while reading a.csv",)
    assert summary.frames[-1] == (__file__, line, "boom")
    assert summary.where == f"{__file__}:{line} in boom"
    assert summary.text().splitlines()[:3] == [
        "ValueError: boom",
        "  while reading a.csv",
        f"  at {__file__}:{line} in boom",
    ]


def test_an_exception_that_was_never_raised_has_no_place() -> None:
    summary = summarize(OddError())
    assert summary == FailureSummary(
        type=f"{__name__}.OddError", message="(its text can't be made: RuntimeError)"
    )
    assert (summary.where, summarize(KeyError()).text()) == ("", "KeyError")


@pytest.mark.parametrize("call", ["send", "receive_many"])
async def test_the_place_of_a_misuse_is_where_trouper_was_called(call: str) -> None:
    """Where our own code refused it tells nobody what to correct."""
    wf = trouper.Workflow("misuse")

    async def misuse(ctx: trouper.ActorContext) -> None:
        if call == "send":
            await ctx.send(1, to="unknown")
        await ctx.receive_many(0)

    wf.actor(name="source", restart="temporary")(misuse)
    result = await wf.execute()
    [failure] = result.nodes["source"].failures
    line = misuse.__code__.co_firstlineno + (2 if call == "send" else 3)
    assert failure.where == f"{__file__}:{line} in {misuse.__qualname__}"
    assert len(failure.frames) > 1  # the frames themselves are all kept


def test_the_place_is_in_trouper_when_nothing_else_is() -> None:
    error = caught(lambda: trouper.Edge(capacity=-1))
    *_, inmost = iterate(error.__traceback__)
    summary = summarize(error.with_traceback(inmost))
    assert summary.where.startswith(OURS)


def test_the_place_is_never_in_code_that_attrs_has_made() -> None:
    error = caught(lambda: trouper.Edge(capacity=-1))
    assert any(file.startswith("<attrs generated") for file, _, _ in summarize(error).frames)
    assert summarize(error).where.startswith(__file__)


def iterate(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def test_a_cause_is_told_and_so_is_what_was_being_handled() -> None:
    def on_purpose() -> None:
        try:
            boom()
        except ValueError as problem:
            raise OSError("direct") from problem

    def by_accident() -> None:
        try:
            boom()
        except ValueError:
            raise OSError("while") from None if silent else OSError("x")

    def while_handling() -> None:
        try:
            boom()
        except ValueError:
            raise OSError("while")  # noqa: B904  # the context is what is tested

    silent = True
    assert summarize(caught(by_accident)).cause is None
    direct, handling = summarize(caught(on_purpose)), summarize(caught(while_handling))
    for summary in (direct, handling):
        assert summary.cause is not None
        assert summary.cause.message == "boom"
    assert "\ncaused by\nValueError: boom\n" in direct.text()
    assert "\nwhile handling\nValueError: boom\n" in handling.text()


def test_the_members_of_a_group_are_told() -> None:
    group = ExceptionGroup("many", [ValueError(n) for n in range(10)])
    summary = summarize(group)
    assert summary.message == "many (10 sub-exceptions)"
    assert [each.message for each in summary.members] == list("01234567")
    assert summary.text().splitlines()[1:] == [
        *(f"  {n + 1}. ValueError: {n}" for n in range(8)),
        "  and 2 more",
    ]


def test_what_has_no_end_is_cut() -> None:
    exc: BaseException = ValueError("0")
    for n in range(1, 20):
        outer = ValueError(str(n))
        outer.__cause__ = exc
        exc = outer
    depth, each = 0, summarize(exc)
    while each.cause is not None:
        depth, each = depth + 1, each.cause
    assert depth == 7

    tree: Exception = ValueError("leaf")
    for _ in range(8):
        tree = ExceptionGroup[Exception]("node", [tree] * 8)
    assert summarize(tree).text().count("\n") < 200

    long = summarize(ValueError("x" * 10_000))
    assert len(long.message) == 2_000
    assert summarize(caught(lambda: deep(100))).frames_left_out > 70
    assert " outer frames" in summarize(caught(lambda: deep(100))).text()
    many = ValueError()
    for _ in range(100):
        many.add_note("note")
    assert len(summarize(many).notes) == 8


def test_a_loop_of_causes_ends() -> None:
    one, two = ValueError("1"), ValueError("2")
    one.__cause__, two.__cause__ = two, one
    assert summarize(one).text().count("caused by") == 7


def test_odd_notes_are_left_out() -> None:
    exc = ValueError()
    exc.__dict__["__notes__"] = 3
    assert summarize(exc).notes == ()
    exc.__dict__["__notes__"] = ["a", 3]
    assert summarize(exc).notes == ("a",)


def crash_with_a_large_local() -> tuple[FailureSummary, "weakref.ref[Large]"]:
    seen: list[weakref.ref[Large]] = []

    def body() -> NoReturn:
        large = Large()
        seen.append(weakref.ref(large))
        raise ExceptionGroup("outer", [ValueError(f"{id(large)}")])

    try:
        body()
    except ExceptionGroup as failure:
        return summarize(failure), seen[0]


def test_nothing_that_lived_is_kept() -> None:
    """X17"""
    gc.collect()
    gc.disable()  # so that reference counts alone have to do it
    try:
        summary, large = crash_with_a_large_local()
        assert large() is None
    finally:
        gc.enable()
    assert summary.members[0].type == "ValueError"


def test_ten_thousand_crashes_with_a_large_local_leave_memory_flat() -> None:
    """X17"""

    def crash() -> FailureSummary:
        large = bytearray(1_000_000)
        try:
            raise ValueError(f"crash of {len(large)}")
        except ValueError as failure:
            return summarize(failure)

    kept = [crash() for _ in range(100)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10_000):
            kept[:] = [*kept[1:], crash()]
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 200_000


def test_it_travels() -> None:
    # A BaseException, says `caught`.
    summary = summarize(ExceptionGroup("outer", [caught(boom)]))  # type: ignore[type-var]
    packed = msgspec.msgpack.encode(summary)
    assert msgspec.msgpack.decode(packed, type=FailureSummary) == summary
    assert pickle.loads(pickle.dumps(summary)) == summary
    assert copy.deepcopy(summary) == summary
    assert FailureSummary.__module__ == "trouper"
