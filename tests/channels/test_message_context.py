"""Envelopes, and the context of a message made from several."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trouper import Envelope, MessageContext
from trouper.channels._context import merge_contexts, message_context
from trouper.channels._envelope import NO_CONTEXT, bounded, origin_text

TRACES = [f"00-{number:032x}-{number:016x}-01" for number in (1, 2, 3)]
CONTEXTS = st.builds(
    MessageContext,
    run=st.just("n"),
    custom_context=st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")),
    traceparent=st.none() | st.sampled_from(TRACES),
    links=st.lists(st.sampled_from([TRACES[0], "t4"]), max_size=2).map(tuple),
    deadline=st.none() | st.floats(0, 100),
)


@given(contexts=st.lists(CONTEXTS, min_size=1, max_size=5))
def test_merged_contexts(contexts: list[MessageContext]) -> None:
    """X2"""
    merged, conflicts = merge_contexts(contexts)
    deadlines = [each.deadline for each in contexts if each.deadline is not None]
    assert merged.deadline == min(deadlines, default=None)
    winners: dict[str, str] = {}
    for context in reversed(contexts):
        winners |= context.custom_context
    assert merged.custom_context == winners
    assert conflicts == sum(
        winners[key] != value for each in contexts for key, value in each.custom_context.items()
    )
    if len(contexts) > 1:
        parents = {each.traceparent for each in contexts} - {None}
        assert set(merged.links) == parents | {link for each in contexts for link in each.links}
        assert len(set(merged.links)) == len(merged.links)
    if any(each is not contexts[0] for each in contexts):
        first = next((each.traceparent for each in contexts if each.traceparent), None)
        assert (first is None) == (merged.traceparent is None)
        if first is not None and merged.traceparent is not None:
            assert merged.traceparent not in parents_of(contexts)
            assert (merged.traceparent[:36], merged.traceparent[-3:]) == (first[:36], first[-3:])
            assert len(merged.traceparent) == len(first)


def parents_of(contexts: list[MessageContext]) -> set[str | None]:
    return {each.traceparent for each in contexts}


def test_one_context_stays_what_it_is() -> None:
    context = MessageContext(run="n", traceparent="t")
    assert merge_contexts([context, context]) == (context, 0)
    assert merge_contexts([context, context])[0] is context


def test_outside_of_any_message_there_is_no_context() -> None:
    assert message_context.get() is NO_CONTEXT


@pytest.mark.parametrize(
    ("origin", "id"),
    [
        (None, "a:7"),
        (("s", 3), "s:3"),
        (((("s", 3), "n", 2), "m", 1), "s:3/n.2/m.1"),
    ],
)
def test_the_id_reads_from_the_source_on(origin: tuple[object, ...] | None, id: str) -> None:
    assert Envelope("x", "a", 7, origin=origin).id == id
    assert Envelope("x", "a", 7, attempt=3, origin=origin, resent=True).id == id


def test_an_envelope_never_changes() -> None:
    envelope = Envelope("x", "a", 7)
    with pytest.raises(AttributeError):
        envelope.attempt = 2  # type: ignore[misc]  # it is frozen: that is tested
    assert msgspec.structs.replace(envelope, attempt=2).payload == "x"


def test_an_origin_stays_bounded_and_unlike_any_other() -> None:
    """X17: a message that goes round in a cycle for ever has an id of a bounded length."""
    origin: tuple[Any, ...] = ("s", 3)
    ids: set[str] = set()
    for _ in range(500):
        origin = (bounded(origin), "a>b", 1)
        ids.add(origin_text(origin))
    assert len(ids) == 500
    assert max(map(len, ids)) < 300
    assert re.match(r"s:3~[0-9a-f]{24}:480/a>b\.1/", origin_text(origin))
    short = (("s", 3), "a", 2)
    assert bounded(short) is short
