"""Closing a channel: from either side, clones, errors of every operation after it (C2)."""

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trouper
from trouper import OperationMeter, SendChannel, open_channel

CLOSED = trouper.ClosedResourceError


class TestClosing:
    """C2: closing follows trio's words; every state is for good, and closing twice is harmless."""

    async def test_buffer_is_drained_before_the_end(self) -> None:
        """C2, R104, R105: exactly one end, after the last message."""
        send, receive = open_channel[int](5)
        await send.send(1)
        await send.send(2)
        send.close()
        assert await receive.receive() == 1
        assert receive.receive_nowait() == 2
        for _ in range(2):  # R107: and nothing after it
            with pytest.raises(trio.EndOfChannel, match="stop receiving"):
                await receive.receive()
            with pytest.raises(anyio.EndOfStream):
                receive.receive_nowait()
            with pytest.raises(trouper.EndOfChannel):
                await receive.receive_many(3)
            with pytest.raises(StopAsyncIteration):
                await anext(receive)

    async def test_senders_learn_that_nobody_receives(self) -> None:
        """R108, R312: the producer stops."""
        send, receive = open_channel[int](5)
        send.send_nowait(1)
        receive.close()
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError, match="stop sending"):
                await send.send(2)
            with pytest.raises(anyio.BrokenResourceError):
                send.send_nowait(2)
            with pytest.raises(trouper.BrokenResourceError):
                await send.send_many([2])
            with pytest.raises(trouper.BrokenResourceError):
                await send.send_many([])
        statistics = send.statistics()
        assert statistics.dropped == {"closed": 1}
        assert statistics.sent == 1
        assert statistics.current_buffer_used == 0

    async def test_own_closed_handle_says_closed(self) -> None:
        send, receive = open_channel[int](5)
        send.send_nowait(1)
        for end in (send, receive):
            end.close()
            await end.aclose()
            with pytest.raises(trio.ClosedResourceError, match=r"clone\(\)"):
                end.clone()
        with pytest.raises(anyio.ClosedResourceError):
            await send.send(1)
        with pytest.raises(CLOSED):
            send.send_nowait(1)
        with pytest.raises(CLOSED):
            await send.send_many([])
        with pytest.raises(CLOSED):
            await receive.receive()
        with pytest.raises(CLOSED):
            receive.receive_nowait()
        with pytest.raises(CLOSED):
            await receive.receive_many(1)
        with pytest.raises(CLOSED):
            await anext(receive)

    async def test_closing_in_the_middle_of_a_slice_takes_the_credit_back(self) -> None:
        send, receive = open_channel[int](5)
        for number in range(4):
            await send.send(number)
        assert await receive.receive() == 0
        assert await receive.receive() == 1
        keep_sender, keep_receiver = send.clone(), receive.clone()
        send.close()
        receive.close()
        with pytest.raises(CLOSED):
            await send.send(9)
        with pytest.raises(CLOSED):
            await receive.receive()
        assert keep_receiver.receive_nowait() == 2
        assert keep_sender.statistics().current_buffer_used == 1

    async def test_closing_a_clone_wakes_only_its_own_tasks(self) -> None:
        send, receive = open_channel[int](0)
        other_send, other_receive = send.clone(), receive.clone()
        woken: list[str] = []

        async def wait(
            name: str, fn: Callable[[], Awaitable[object]], end: type[Exception]
        ) -> None:
            with pytest.raises(end):
                await fn()
            woken.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, "receive", receive.receive, CLOSED)
            nursery.start_soon(wait, "other", other_receive.receive, trouper.EndOfChannel)
            await wait_all_tasks_blocked()
            receive.close()
            await wait_all_tasks_blocked()
            assert woken == ["receive"]
            send.close()
            await wait_all_tasks_blocked()
            assert woken == ["receive"]
            other_send.close()
        assert woken == ["receive", "other"]

    async def test_closing_a_send_clone_wakes_only_its_own_tasks(self) -> None:
        send, receive = open_channel[int](0)
        other = send.clone()
        woken: list[str] = []

        async def wait(name: str, channel: SendChannel[int], error: type[Exception]) -> None:
            with pytest.raises(error):
                await channel.send(1)
            woken.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, "send", send, CLOSED)
            nursery.start_soon(wait, "other", other, trouper.BrokenResourceError)
            await wait_all_tasks_blocked()
            send.close()
            await wait_all_tasks_blocked()
            assert woken == ["send"]
            receive.close()
        assert woken == ["send", "other"]

    async def test_a_sender_with_credit_learns_at_once_that_nobody_receives(self) -> None:
        send, receive = open_channel[int](5, meter=partial(OperationMeter, 100))
        await send.send_many([1, 2])
        await receive.receive()
        receive.close()
        with pytest.raises(trio.BrokenResourceError):
            await send.send(3)

    async def test_a_message_handed_over_survives_the_close_of_its_receiver(self) -> None:
        send, receive = open_channel[int](5, meter=partial(OperationMeter, 100))
        other = receive.clone()
        got: list[list[int]] = []

        async def take() -> None:
            got.append(await receive.receive_many(5))
            with pytest.raises(CLOSED):
                await receive.receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await wait_all_tasks_blocked()
            for number in range(3):
                send.send_nowait(number)
            receive.close()
        assert got == [[0]]
        assert await other.receive_many(5) == [1, 2]

    @pytest.mark.parametrize("close_sender", [False, True])
    async def test_a_batch_stops_at_a_close_that_comes_before_its_task_goes_on(
        self, close_sender: bool
    ) -> None:
        """C5: those accepted before the close count as placed, and no others come."""
        send, receive = open_channel[int](1)
        other = send.clone()
        placed: list[int] = []

        async def produce() -> None:
            with pytest.raises(CLOSED if close_sender else trio.BrokenResourceError) as caught:
                await send.send_many([1, 2, 3, 4])
            placed.append(trouper.placed_before(caught.value))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            await wait_all_tasks_blocked()
            assert receive.receive_nowait() == 1
            if close_sender:
                assert receive.receive_nowait() == 2
                send.close()
            else:
                receive.close()
        assert placed == [2]
        assert other.statistics().current_buffer_used == 0
        assert other.statistics().sent == 2
