"""Who is told of whose end, and how often."""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import trouper
from trouper.actors._watch import Watch, Watches

NAMES = st.sampled_from(["a", "b", "c"])


def hear(_notice: trouper.Down) -> None: ...


def hear_otherwise(_notice: trouper.Down) -> None: ...


def test_the_same_watch_again_changes_nothing() -> None:
    """P9: watch is idempotent."""
    watches = Watches()
    assert watches.add(Watch("a", 1, "b", hear))
    assert not watches.add(Watch("a", 1, "b", hear))
    assert len(watches.of("b")) == 1


def test_another_answer_to_the_same_end_is_refused() -> None:
    """P9: a conflicting re-watch is an error that names the way out; then it is another watch."""
    watches = Watches()
    watches.add(Watch("a", 1, "b", hear))
    with pytest.raises(ValueError, match=r"'a' watches 'b' already.*call ctx.unwatch\('b'\) first"):
        watches.add(Watch("a", 1, "b", None))
    watches.remove("a", "b")
    assert watches.add(Watch("a", 1, "b", hear_otherwise))


def test_a_watch_belongs_to_an_incarnation() -> None:
    """P7: what an earlier incarnation wanted is nobody's wish any more."""
    watches = Watches()
    watches.add(Watch("a", 1, "b", hear))
    assert watches.find("a", "b", 2) is None
    assert watches.add(Watch("a", 2, "b", hear_otherwise))
    found = watches.find("a", "b", 2)
    assert found is not None
    assert found.on_down is hear_otherwise
    assert len(watches.of("b")) == 1


def test_what_was_never_watched_can_be_forgotten() -> None:
    watches = Watches()
    watches.remove("a", "b")
    assert watches.of("b") == ()
    assert watches.find("a", "b", 1) is None


def test_who_is_gone_watches_nobody() -> None:
    """S18: nothing is kept of it; who watches it is still told."""
    watches = Watches()
    for node in ("b", "c"):
        watches.add(Watch("a", 1, node, hear))
    watches.add(Watch("b", 1, "a", hear))
    watches.forget("a")
    watches.forget("a")
    assert (watches.of("b"), watches.of("c")) == ((), ())
    assert len(watches.of("a")) == 1


class Model(RuleBasedStateMachine):
    """P9: against a dict of (watcher, node) -> (incarnation, answer)."""

    def __init__(self) -> None:
        super().__init__()
        self.watches = Watches()
        self.model: dict[tuple[str, str], tuple[int, Any]] = {}

    @rule(a=NAMES, b=NAMES, incarnation=st.integers(1, 2), answer=st.sampled_from([None, hear]))
    def add(self, a: str, b: str, incarnation: int, answer: Any) -> None:
        known = self.model.get((a, b))
        watch = Watch(a, incarnation, b, answer)
        if known is not None and known[0] == incarnation and known[1] is not answer:
            with pytest.raises(ValueError, match="already"):
                self.watches.add(watch)
            return
        is_new = known is None or known[0] != incarnation
        assert self.watches.add(watch) is is_new
        self.model[a, b] = (incarnation, answer)

    @rule(a=NAMES, b=NAMES)
    def remove(self, a: str, b: str) -> None:
        self.watches.remove(a, b)
        self.model.pop((a, b), None)

    @rule(a=NAMES)
    def forget(self, a: str) -> None:
        self.watches.forget(a)
        for each in [each for each in self.model if each[0] == a]:
            del self.model[each]

    @invariant()
    def each_is_told_once(self) -> None:
        for node in "abc":
            told = sorted((each.watcher, each.incarnation) for each in self.watches.of(node))
            assert told == sorted((a, n) for (a, b), (n, _) in self.model.items() if b == node)


TestModel = Model.TestCase
