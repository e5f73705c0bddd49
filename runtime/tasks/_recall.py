"""What the actions of a recorded run write down, and what those of a recovered one find there.

An action is looked for below its caller, by its task and by what it was given; its place among the
calls counts only between equals, for calls side by side come in any order.
"""

import logging
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from ..io._references import refuse_what_is_gone
from ..store._errors import StoreError
from ..workspace._journal import Noted, Story
from ..workspace._kept_values import keep, key_of, restore
from ..workspace._tracked import Tracked
from .errors import ProcessLost

if TYPE_CHECKING:
    from ._action import Action, Phase
    from ._spec import Spec

MOST_DEATHS = 3
"""Processes that may die in an action, if its task does not say how often it is tried."""

log = logging.getLogger("trouper")


@frozen
class Found:
    """What an action gave back in an execution before."""

    value: Any


@define(eq=False)
class Keeper:
    """Keeps what the actions of one run do. Any thread may call it."""

    tracked: Tracked
    _before: dict[int, dict[str, list[Noted]]] = field(
        factory=dict[int, dict[str, list[Noted]]], init=False
    )
    """What an execution before has done: by caller and task, newest first."""

    def __attrs_post_init__(self) -> None:
        story = self.tracked.story
        if story is not None:
            self._take(story)

    def _take(self, story: Story) -> None:
        for noted in reversed(list(story.actions.values())):
            self._before.setdefault(noted.parent, {}).setdefault(noted.task, []).append(noted)

    # -- what an action says -----------------------------------------------------------------

    def note(self, action: "Action") -> None:
        """It has begun or ended: have that recorded, soon."""
        self.tracked.note(action)

    def begins(
        self,
        spec: "Spec",
        action: "Action",
        args: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Found | None:
        """Write down that it begins; or return what it has given back before.

        Raises:
            ProcessLost: too many processes have died in it.
        """
        key = key_of(args, named)
        noted = self._noted(action, spec.name, key) if self._before else None
        if noted is not None:
            action.mark = noted.number
            if noted.output is not None and (found := _restored(noted, spec)) is not None:
                return found
            _refuse_a_killer(noted, spec, action)
        self._begin(action, spec.name, key, noted)
        return None

    def adopt(self, action: "Action") -> None:
        """Write down that a node of a graph, which calls tasks, begins."""
        noted = self._noted(action, action.task, None) if self._before else None
        self._begin(action, action.task, None, noted)

    def again(self, action: "Action") -> None:
        """Write down that its next attempt begins."""
        # What the attempt before this one has called, in whatever execution, is void.
        self._before.pop(action.mark, None)
        self._write(self.tracked.journal.again, action.mark)

    def ends(self, action: "Action", phase: "Phase", value: Any) -> None:
        """Write down how it ended; `value`: what it gave back, if it has completed."""
        output = keep(value) if phase == "completed" else None
        if action.mark:
            self._write(self.tracked.journal.ends, action.mark, output)
        self.tracked.note(action)

    # -- the journal -------------------------------------------------------------------------

    def _begin(self, action: "Action", task: str, key: bytes | None, noted: Noted | None) -> None:
        parent = 0 if action.parent is None else action.parent.mark
        number = None if noted is None else noted.number
        mark = self._write(self.tracked.journal.begins, parent, action.name, task, key, number)
        action.mark = mark or 0

    def _write(self, write: Any, *args: Any) -> Any:
        if self.tracked.failure is not None:
            return None
        try:
            return write(*args)
        except StoreError as failure:
            self.tracked.fail(failure)
            return None

    def _noted(self, action: "Action", task: str, key: bytes | None) -> Noted | None:
        """Take what was noted of the action in the execution before."""
        parent = 0 if action.parent is None else action.parent.mark
        candidates = self._before.get(parent, {}).get(task)
        if not candidates:
            return None
        alike = [each for each in candidates if each.key == key]
        if key is None and len(alike) > 1 and action.parent is not None:
            return None  # which one it is can't be told
        chosen = next((each for each in alike if each.name == action.name), None)
        chosen = chosen or next(iter(alike), None)
        if chosen is not None:
            candidates.remove(chosen)
        return chosen


def _restored(noted: Noted, spec: "Spec") -> Found | None:
    assert noted.output is not None
    try:
        value = restore(noted.output, spec.function.__module__)
        refuse_what_is_gone(value)
        return Found(value)
    except Exception as error:
        log.warning(
            "what %s gave back before can't be read (%s: %s); it is done again",
            noted.name,
            type(error).__name__,
            error,
        )
        return None


def _refuse_a_killer(noted: Noted, spec: "Spec", action: "Action") -> None:
    policy = spec.settings.policy
    most = MOST_DEATHS if policy is None else policy.max_restarts + 1
    if noted.blamed >= most:
        raise ProcessLost(
            f"{action.name} was under way when {noted.blamed} processes died, so it is not tried "
            f"again (at most {most} attempts); find out what it does to its process, then "
            "rerun the run"
        )
