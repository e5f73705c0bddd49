"""Who follows a message: pieces opened and settled, and the worst outcome told once."""

from hypothesis import given
from hypothesis import strategies as st

from harness.edges import connect, open_outlet
from trouper import Envelope
from trouper.channels._context import merge_contexts
from trouper.channels._envelope import NO_CONTEXT
from trouper.channels._inbox import Inbox
from trouper.channels._tracking import (
    MOST_REASONS,
    OUTCOMES,
    Outcome,
    Tracking,
    settle_piece,
    tracked_by,
)

Told = list[tuple[Outcome, tuple[str, ...]]]


def follow() -> tuple[Tracking, Told]:
    told: Told = []
    return Tracking(lambda outcome, reasons: told.append((outcome, reasons))), told


@given(outcomes=st.lists(st.sampled_from(OUTCOMES), min_size=1), data=st.data())
def test_tells_the_worst_outcome_once_after_the_last_piece(
    outcomes: list[Outcome], data: st.DataObject
) -> None:
    """V2: in whatever order the pieces end, and however often each end is told."""
    tracking, told = follow()
    pieces = [("inbox", "a", seq) for seq in range(len(outcomes))]
    for piece in pieces:
        tracking.open(piece)
    order = data.draw(st.permutations(list(zip(pieces, outcomes, strict=True))))
    for at, (piece, outcome) in enumerate(order):
        assert not told
        tracking.settle(piece, outcome, f"reason {at}")
        if at < len(order) - 1:
            tracking.settle(piece, "abandoned", "told twice: the first time counts")
    [(worst, reasons)] = told
    assert worst == max(outcomes, key=OUTCOMES.index)
    assert reasons == tuple(f"reason {at}" for at in range(min(len(order), MOST_REASONS)))
    assert tracking.is_done
    tracking.open(pieces[0])
    tracking.settle(pieces[0], "acknowledged")
    tracking.look()
    assert len(told) == 1


def test_a_reason_is_kept_once() -> None:
    tracking, told = follow()
    for seq in (1, 2):
        tracking.open(("inbox", "a", seq))
    for seq in (1, 2):
        tracking.settle(("inbox", "a", seq), "expired", "b: expired")
    assert told == [("expired", ("b: expired",))]


async def test_what_nobody_reads_is_settled_at_once() -> None:
    tracking, told = follow()
    outlet = open_outlet()
    outlet.tracker = lambda payload, message_id: tracking
    outlet.refresh()
    await outlet.put("x")
    assert told == [("acknowledged", ())]


async def test_a_broadcast_is_not_over_when_its_first_lane_drops() -> None:
    """V2: all pieces are opened before one of them can end."""
    tracking, told = follow()
    outlet = open_outlet()
    gone, reads = Inbox("gone"), Inbox("reads")
    connect(outlet, gone)
    lane = connect(outlet, reads)
    gone.close()
    await outlet.put_with("x", tracked_by(NO_CONTEXT, tracking))
    assert told == []
    settle_piece(reads, lane.buffer[0], "acknowledged")
    assert told == [("dropped", ("gone: reader_ended",))]


async def test_what_an_abandoning_reader_leaves_is_no_drop_on_purpose() -> None:
    tracking, told = follow()
    outlet, inbox = open_outlet(), Inbox("r")
    connect(outlet, inbox)
    await outlet.put_with("x", tracked_by(NO_CONTEXT, tracking))
    inbox.close("abandoned")
    assert told == [("abandoned", ("r: reader_ended",))]


def test_a_merged_context_is_followed_by_all_who_follow_a_part() -> None:
    first, second = (Tracking(lambda _outcome, _reasons: None) for _ in range(2))
    both = tracked_by(tracked_by(NO_CONTEXT, first), second)
    merged, _ = merge_contexts([tracked_by(NO_CONTEXT, second), NO_CONTEXT, both])
    assert merged.tracking == (second, first)


def test_settling_an_envelope_that_nobody_follows_does_nothing() -> None:
    settle_piece(object(), Envelope("x", "a", 1), "acknowledged")
