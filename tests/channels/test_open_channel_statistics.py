"""What a channel tells about itself."""

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trouper import SendChannel, open_channel


async def test_statistics_are_exact_at_each_step() -> None:
    """C7"""
    send, receive = open_channel[int](2)

    def counts() -> tuple[int, ...]:
        now = send.statistics()
        assert now == receive.statistics()
        return (now.current_buffer_used, now.peak_buffer_used, now.sent, now.received)

    assert counts() == (0, 0, 0, 0)
    send.send_nowait(1)
    assert counts() == (1, 1, 1, 0)
    await send.send(2)
    assert counts() == (2, 2, 2, 0)
    await receive.receive()
    assert counts() == (1, 2, 2, 1)
    receive.receive_nowait()
    assert counts() == (0, 2, 2, 2)
    await send.send(3)
    assert counts() == (1, 2, 3, 2)


async def test_waiting_tasks_are_counted_until_they_are_served_not_until_they_run() -> None:
    """C7"""
    send, receive = open_channel[int](0)

    def waiting() -> tuple[int, int]:
        now = send.statistics()
        return (now.tasks_waiting_send, now.tasks_waiting_receive)

    async with trio.open_nursery() as nursery:
        assert waiting() == (0, 0)
        for _ in range(2):
            nursery.start_soon(receive.receive)
        await wait_all_tasks_blocked()
        assert waiting() == (0, 2)
        send.send_nowait(1)
        assert waiting() == (0, 1)
        send.send_nowait(1)
        assert waiting() == (0, 0)
        await wait_all_tasks_blocked()
        for _ in range(2):
            nursery.start_soon(send.send, 1)
        await wait_all_tasks_blocked()
        assert waiting() == (2, 0)
        receive.receive_nowait()
        assert waiting() == (1, 0)
        nursery.cancel_scope.cancel()
        assert waiting() == (0, 0)


def test_open_handles_are_counted() -> None:
    """C7"""
    send, receive = open_channel[int](0)

    def handles() -> tuple[int, int]:
        now = send.statistics()
        return (now.open_send_channels, now.open_receive_channels)

    assert handles() == (1, 1)
    sends = [send.clone(), send.clone()]
    receives = [receive.clone()]
    assert handles() == (3, 2)
    for sender in (*sends, *sends):
        sender.close()
    for receiver in receives:
        receiver.close()
    assert handles() == (1, 1)
    with send, receive:
        pass
    assert handles() == (0, 0)


async def test_wait_times_include_the_wait_still_going_on(autojump_clock: MockClock) -> None:
    """X15: a sender stuck for 60 s reads 60 s, not 0."""
    send, receive = open_channel[int](1)

    def times() -> tuple[float, float]:
        now = send.statistics()
        return (round(now.blocked_s, 6), round(now.starved_s, 6))

    async with trio.open_nursery() as nursery:
        await send.send(0)
        nursery.start_soon(send.send, 1)
        await trio.sleep(60)
        assert times() == (60, 0)
        nursery.start_soon(send.send, 2)
        await trio.sleep(5)
        assert times() == (70, 0)  # the sum over tasks
        await receive.receive_many(3)
        await trio.sleep(100)
        assert times() == (70, 0)
        nursery.start_soon(receive.receive)
        await trio.sleep(7)
        assert times() == (70, 7)
        send.send_nowait(3)
        await trio.sleep(100)
        assert times() == (70, 7)


async def test_wait_times_count_waits_that_were_cancelled_or_failed(
    autojump_clock: MockClock,
) -> None:
    """X15"""
    send, receive = open_channel[int](0)
    with trio.move_on_after(3):
        await send.send(1)
    with trio.move_on_after(4):
        await receive.receive()

    async def expect_broken(channel: SendChannel[int]) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await channel.send(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_broken, send)
        await trio.sleep(10)
        receive.close()
    assert send.statistics().blocked_s == pytest.approx(13)
    assert send.statistics().starved_s == pytest.approx(4)


async def test_statistics_are_a_snapshot_that_can_be_stored() -> None:
    send, receive = open_channel[int](1, overflow="latest")
    await send.send(1)
    before = send.statistics()
    await send.send(2)
    receive.close()
    assert before.dropped == {}
    assert send.statistics().dropped == {"latest": 1, "closed": 1}
    with pytest.raises(AttributeError, match="immutable"):
        # It is frozen: that is tested.
        before.sent = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert msgspec.json.decode(msgspec.json.encode(before))["sent"] == 1
