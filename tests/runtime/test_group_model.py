"""Groups against a model, with random trees, failures and task orders.

The model knows the rules of OTP and nothing of tasks: after each failure, which incarnations there
must be once all has come to rest.
"""

from typing import Any

import trio
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

import trouper
from harness.members import Member
from harness.schedules import run_on_mock_clock, schedules
from trouper.actors._strategy import Strategy

AT_ONCE = trouper.Backoff(min=0, max=0)
STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")


@define(eq=False)
class Leaf:
    """A member, and what the model expects of it."""

    name: str
    restart: str
    starts: int = 0
    is_up: bool = False

    def start(self) -> None:
        self.starts += 1
        self.is_up = True

    def stop(self) -> None:
        self.is_up = False


@define(eq=False)
class Tree:
    """A group, and what the model expects of it."""

    name: str
    strategy: Strategy
    max_restarts: int
    members: list["Leaf | Tree"]
    failures: int = 0
    is_up: bool = False
    gone: set[int] = field(factory=set[int])

    def start(self) -> None:
        self.is_up, self.failures = True, 0
        for place, member in enumerate(self.members):
            if place not in self.gone:
                member.start()

    def stop(self) -> None:
        self.is_up = False
        for place, member in enumerate(self.members):
            if place not in self.gone:
                member.stop()

    def fail(self, path: list[int]) -> bool:
        """Let the member at `path` fail; return whether this group gives up."""
        place, *rest = path
        member = self.members[place]
        if isinstance(member, Tree):
            if not member.fail(rest):
                return False
        elif member.restart == "temporary":
            member.stop()
            self.gone.add(place)
            return False
        self.failures += 1
        if self.failures > self.max_restarts:
            self.stop()
            return True
        for each in self._affected(place):
            other = self.members[each]
            other.stop()
            # A temporary bystander is not started again (case S8).
            if isinstance(other, Leaf) and other.restart == "temporary":
                self.gone.add(each)
            else:
                other.start()
        return False

    def _affected(self, place: int) -> list[int]:
        size = len(self.members)
        found = {
            "one_for_one": range(place, place + 1),
            "one_for_all": range(size),
            "rest_for_one": range(place, size),
        }[self.strategy]
        return [each for each in found if each not in self.gone]


def leaves(tree: Tree, path: tuple[int, ...] = ()) -> list[tuple[tuple[int, ...], Leaf]]:
    """Return all leaves with the way to each."""
    found: list[tuple[tuple[int, ...], Leaf]] = []
    for place, member in enumerate(tree.members):
        here = (*path, place)
        found += leaves(member, here) if isinstance(member, Tree) else [(here, member)]
    return found


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    count = 0

    def make(depth: int) -> Tree:
        nonlocal count
        count += 1
        tree = Tree(f"g{count}", draw(st.sampled_from(STRATEGIES)), draw(st.integers(0, 3)), [])
        for _ in range(draw(st.integers(1, 3))):
            if depth < 2 and draw(st.integers(0, 3)) == 0:
                tree.members.append(make(depth + 1))
            else:
                count += 1
                restart = draw(st.sampled_from(("transient", "transient", "temporary")))
                tree.members.append(Leaf(f"n{count}", restart))
        return tree

    return make(0)


def build(tree: Tree, parent: Any, real: dict[str, Member], log: list[str]) -> None:
    group = parent.group(tree.name, strategy=tree.strategy, max_restarts=tree.max_restarts)
    for member in tree.members:
        if isinstance(member, Tree):
            build(member, group, real, log)
            continue
        real[member.name] = made = Member(member.name, log)
        options: Any = {"restart": member.restart}
        if member.restart != "temporary":
            options |= {"backoff": AT_ONCE, "max_restarts": 10_000}
        group.add(made, name=member.name, **options)


@settings(max_examples=100)
@given(tree=trees(), data=st.data(), schedule=schedules())
def test_any_tree_under_any_failures_and_any_task_order(
    tree: Tree, data: st.DataObject, schedule: Any
) -> None:
    """S1, S5 - S10: the same incarnations as the model, one of each at a time."""

    async def play() -> None:
        wf, real, log = trouper.Workflow(), dict[str, Member](), list[str]()
        build(tree, wf, real, log)
        # Something else runs, so that the run goes on when all members have ended.
        wf.actor(name="outside")(_for_ever)
        async with wf.open() as run:
            await wait_all_tasks_blocked()
            tree.start()
            for _ in range(8):
                alive = [(path, leaf) for path, leaf in leaves(tree) if leaf.is_up]
                if not alive:
                    break
                path, leaf = data.draw(st.sampled_from(alive))
                gave_up = tree.fail(list(path))
                real[leaf.name].fail()
                await wait_all_tasks_blocked()
                assert (run.status().status == "failed") == gave_up
                for _, each in leaves(tree):
                    assert real[each.name].alive == each.is_up, each.name
                    assert real[each.name].starts == each.starts, each.name
                if gave_up:
                    break
            run.cancel()
        assert all(member.alive == 0 for member in real.values())

    run_on_mock_clock(play)


async def _for_ever(ctx: trouper.ActorContext) -> None:
    await trio.sleep_forever()
