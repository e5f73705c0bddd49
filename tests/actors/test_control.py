"""What was asked of an actor, as a state machine: which step comes next."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import trouper
from trouper.actors._control import NOTHING_ASKED, Asked, Step, before_receiving, before_sending

ASKED = st.builds(
    Asked,
    is_paused=st.booleans(),
    ending=st.sampled_from(["", "stopped", "killed"]),
    has_settings=st.booleans(),
    notices=st.lists(
        st.builds(trouper.Down, node=st.text(), reason=st.just("normal"), at=st.just(0.0)),
        max_size=3,
    ).map(tuple),
)


def notice(number: int) -> trouper.Down:
    return trouper.Down(node=str(number), reason="normal", at=float(number))


def test_of_an_actor_that_nothing_is_asked_of_messages_go_on() -> None:
    assert before_receiving(NOTHING_ASKED, comes_again=False) is Step.GO
    assert before_receiving(NOTHING_ASKED, comes_again=True) is Step.GO
    assert before_sending(NOTHING_ASKED) is Step.GO


@given(asked=ASKED, comes_again=st.booleans())
def test_kill_comes_before_all_else(asked: Asked, comes_again: bool) -> None:
    """A2, P17: whatever was asked before or is asked after it, and however often."""
    killed = asked.kill()
    assert before_receiving(killed, comes_again=comes_again) is Step.END
    assert killed.kill() == killed == killed.stop()
    assert before_receiving(killed.pause().resume(), comes_again=comes_again) is Step.END


@given(asked=ASKED)
def test_stop_lets_the_message_in_hand_come_again_but_no_other(asked: Asked) -> None:
    """A2: after the message in hand, its redelivery included, and never held by a pause."""
    stopped = asked.stop()
    assert before_receiving(stopped, comes_again=False) is Step.END
    if stopped.ending == "stopped":
        assert before_receiving(stopped, comes_again=True) is not Step.END
    assert before_receiving(stopped, comes_again=True) is not Step.HOLD
    assert before_sending(stopped) is not Step.HOLD


@given(asked=ASKED)
def test_a_pause_holds_data_and_nothing_else(asked: Asked) -> None:
    """X5, X19: notices and settings are heard while it lasts."""
    paused = asked.pause()
    assert before_receiving(paused, comes_again=False) is not Step.GO
    for step in (before_receiving(paused, comes_again=True), before_sending(paused)):
        if paused.has_settings and paused.ending != "killed":
            assert step is Step.CONFIGURE
    assert paused.resume() == asked.resume()


@given(asked=ASKED)
def test_a_new_incarnation_owes_nothing_to_the_last_ones_watches(asked: Asked) -> None:
    """P7: but a pause and an end hold on."""
    begun = asked.begin()
    assert (begun.notices, begun.has_settings) == ((), False)
    assert (begun.is_paused, begun.ending) == (asked.is_paused, asked.ending)


class Model(RuleBasedStateMachine):
    """X5, X19: asked in any order, each is done once, in order, before any message."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = NOTHING_ASKED
        self.paused = self.settings = False
        self.told: list[float] = []
        self.sent = 0

    @rule()
    def pause(self) -> None:
        self.asked = self.asked.pause()
        self.paused = True

    @rule()
    def resume(self) -> None:
        self.asked = self.asked.resume()
        self.paused = False

    @rule()
    def configure(self) -> None:
        self.asked = self.asked.configure()
        self.settings = True

    @rule()
    def tell(self) -> None:
        self.asked = self.asked.tell(notice(self.sent))
        self.sent += 1

    @rule(comes_again=st.booleans())
    def reach_a_boundary(self, comes_again: bool) -> None:
        step = before_receiving(self.asked, comes_again=comes_again)
        while step in (Step.CONFIGURE, Step.TELL):
            if step is Step.CONFIGURE:
                assert self.settings
                self.asked = self.asked.configured()
                self.settings = False
            else:
                self.told.append(self.asked.notices[0].at)
                self.asked = self.asked.told()
            step = before_receiving(self.asked, comes_again=comes_again)
            assert step is before_sending(self.asked)
        assert step is (Step.HOLD if self.paused else Step.GO)
        assert not self.settings
        assert self.told == list(range(self.sent))

    @invariant()
    def what_is_done_leaves_nothing(self) -> None:
        is_nothing = not (self.paused or self.settings or len(self.told) < self.sent)
        assert (self.asked == NOTHING_ASKED) is is_nothing


TestModel = Model.TestCase
