"""The mailbox with leases against a model, in whatever order hypothesis can think of."""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio.from_thread
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.loops import in_loop
from harness.stage import Stage
from trouper import Backoff, RestartPolicy

MAX_ATTEMPTS = 3
FOR_EVER = RestartPolicy(restart="permanent", max_restarts=1_000_000, backoff=Backoff(min=0, max=0))


@dataclass(frozen=True)
class Message:
    lane: str
    number: int
    attempt: int = 1


@dataclass
class Model:
    """A mailbox in as few words as possible."""

    queued: dict[str, list[Message]]
    returned: list[Message] = field(default_factory=list[Message])
    in_hand: list[Message] = field(default_factory=list[Message])
    acknowledged: list[Message] = field(default_factory=list[Message])
    dead: list[Message] = field(default_factory=list[Message])
    sent: Counter[str] = field(default_factory=Counter[str])

    def send(self, lane: str) -> int:
        self.sent[lane] += 1
        self.queued[lane].append(Message(lane, self.sent[lane]))
        return self.sent[lane]

    def acknowledge(self) -> None:
        self.acknowledged += self.in_hand
        self.in_hand = []

    def take(self, got: list[tuple[str, int]], most: int) -> None:
        """Check what was handed out, and lease it: any lane may come next, each in its order."""
        assert 1 <= len(got) <= most
        if self.returned:
            first = self.returned.pop(0)
            assert got == [(first.lane, first.number)], "what comes again comes first, and alone"
            self.in_hand = [first]
            return
        for lane, number in got:
            message = self.queued[lane].pop(0)
            assert message.number == number, "each lane keeps its order"
            self.in_hand.append(message)

    def crash(self) -> None:
        if len(self.in_hand) > 1:
            self.returned = self.in_hand + self.returned
        elif self.in_hand:
            [message] = self.in_hand
            if message.attempt == MAX_ATTEMPTS:
                self.dead.append(message)
            else:
                again = Message(message.lane, message.number, message.attempt + 1)
                self.returned.insert(0, again)
        self.in_hand = []

    def release(self) -> None:
        self.returned = self.in_hand + self.returned
        self.in_hand = []

    def is_empty(self) -> bool:
        return not self.returned and not any(self.queued.values())


class MailboxMachine(RuleBasedStateMachine):
    """Every rule does one thing to the actor and to the model, and waits till all is quiet."""

    outcome: str | tuple[list[tuple[str, int]], int]
    """What the last receive gave: messages and the attempt; or "waits", or "end"."""

    @initialize(lanes=st.integers(1, 3), keyed=st.booleans(), operations=st.integers(1, 4))
    def begin(self, lanes: int, keyed: bool, operations: int) -> None:
        self.names = ["a", "b", "c"][:lanes]
        self.model = Model({name: [] for name in self.names})
        self.portal_manager = anyio.from_thread.start_blocking_portal("trio")
        self.portal = self.portal_manager.__enter__()
        self.keyed = keyed and lanes > 1
        self.stage = Stage(
            self.body,
            policy=FOR_EVER,
            max_attempts=MAX_ATTEMPTS,
            sources=self.names,
            keyed=self.keyed,
            operations=operations,
        )
        self.ended = False
        self.portal.start_task_soon(self.live)
        self.settle()

    def teardown(self) -> None:
        if hasattr(self, "portal"):
            self.portal.call(self.over.cancel)
            self.portal_manager.__exit__(None, None, None)

    # -- the actor ---------------------------------------------------------------------------

    async def live(self) -> None:
        self.give, self.jobs = trio.open_memory_channel[tuple[str, int]](1)
        with trio.CancelScope() as self.over:
            async with trio.open_nursery() as nursery:
                self.stage.begin(nursery)

    async def body(self, ctx: trouper.ActorContext) -> None:
        while True:
            what, most = await self.jobs.receive()
            if what == "crash":
                raise ValueError("crash")
            if what == "return":
                return
            with trio.CancelScope() as self.waiting:
                self.outcome = "waits"
                await self.receive(ctx, what, most)

    async def receive(self, ctx: trouper.ActorContext, what: str, most: int) -> None:
        try:
            match what:
                case "many":
                    got = await ctx.receive_many(most)
                case "loop":
                    got = [await in_loop(ctx)]
                case "iterator":
                    got = [await anext(aiter(ctx))]
                case _:
                    got = [await ctx.receive()]
        except (trouper.EndOfInput, StopAsyncIteration):
            self.outcome = "end"
            return
        assert ctx.message is not None
        self.outcome = [self.identify(each) for each in got], ctx.message.attempt

    def identify(self, message: Any) -> tuple[str, int]:
        if self.keyed:
            [(key, (lane, number))] = message.items()
            assert key == lane
            return lane, number
        lane, number = message
        return lane, number

    def do(self, what: str, most: int = 1) -> None:
        self.portal.call(self.give.send_nowait, (what, most))
        self.settle()

    def taken(self) -> tuple[list[tuple[str, int]], int]:
        assert not isinstance(self.outcome, str), self.outcome
        return self.outcome

    def settle(self) -> None:
        self.portal.call(wait_all_tasks_blocked)

    # -- rules -------------------------------------------------------------------------------

    @rule(data=st.data(), times=st.integers(1, 5))
    def send(self, data: st.DataObject, times: int) -> None:
        if self.ended:
            return
        lane = data.draw(st.sampled_from(self.names))
        self.feed(lane, times)
        self.settle()

    def feed(self, lane: str, times: int) -> None:
        at = self.names.index(lane)
        for _ in range(times):
            number = self.model.send(lane)
            self.portal.call(partial(self.stage.feed, (lane, number), lane=at))

    @rule(what=st.sampled_from(["one", "loop", "iterator", "many"]), most=st.integers(1, 6))
    @precondition(lambda self: not self.model.is_empty())
    def receive_what_is_there(self, what: str, most: int) -> None:
        self.do(what, most)
        self.model.acknowledge()
        got, attempt = self.taken()
        self.model.take(got, most if what == "many" else 1)
        assert attempt == self.model.in_hand[0].attempt

    @rule(what=st.sampled_from(["one", "loop", "iterator", "many"]), data=st.data())
    @precondition(lambda self: self.model.is_empty())
    def receive_when_there_is_nothing(self, what: str, data: st.DataObject) -> None:
        self.do(what, 3)
        # Asking for the next acknowledges the last, also when none comes.
        self.model.acknowledge()
        if self.ended:
            assert self.outcome == "end"
            return
        assert self.outcome == "waits"
        if data.draw(st.booleans()):
            self.portal.call(self.waiting.cancel)
            self.settle()
            assert self.outcome == "waits"
        else:
            self.feed(data.draw(st.sampled_from(self.names)), 1)
            self.settle()
            got, attempt = self.taken()
            self.model.take(got, 3)
            assert attempt == 1

    @rule()
    def crash(self) -> None:
        self.do("crash")
        self.model.crash()

    @rule()
    def cancel(self) -> None:
        """X12: as a deadline does, or a stop that is taken back."""
        scope = self.stage.child.scope
        assert scope is not None
        self.portal.call(scope.cancel)
        self.settle()
        self.model.release()

    @rule()
    @precondition(lambda self: not self.ended)
    def return_and_start_again(self) -> None:
        self.do("return")
        self.model.acknowledge()

    @rule()
    @precondition(lambda self: not self.ended and self.model.sent.total() > 10)
    def end(self) -> None:
        self.portal.call(self.stage.end)
        self.settle()
        self.ended = True

    # -- what always holds -------------------------------------------------------------------

    @invariant()
    def the_actor_lives(self) -> None:
        if hasattr(self, "stage"):
            assert self.stage.child.state.value == "running"
            assert not self.stage.failed

    def identify_dead(self, envelope: trouper.Envelope[Any]) -> Message:
        lane, number = envelope.payload
        return Message(lane, number, envelope.attempt)

    @invariant()
    def the_ledger_holds(self) -> None:
        if not hasattr(self, "stage"):
            return
        model, box = self.model, self.stage.box
        in_hand = box.in_hand()
        for lane in self.stage.lanes:
            name = lane.source
            queued, held = len(lane.buffer), in_hand.get(name, 0)
            given_up = box.settled.get((name, "max_attempts"), 0)
            assert lane.sent == model.sent[name]
            assert queued == len(model.queued[name])
            assert held == sum(m.lane == name for m in [*model.in_hand, *model.returned])
            acknowledged = sum(m.lane == name for m in model.acknowledged)
            assert lane.sent == acknowledged + given_up + queued + held
        letters = [self.identify_dead(letter.envelope) for letter in self.stage.dead]
        assert letters == model.dead
        assert all(len(letter.failures) == MAX_ATTEMPTS for letter in self.stage.dead)


MailboxMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestMailboxModel = MailboxMachine.TestCase
