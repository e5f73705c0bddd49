"""The states of a child. What LIFECYCLE does not list cannot happen."""

from collections.abc import Mapping
from enum import Enum


class State(Enum):
    """Where a child stands."""

    WAITING = "waiting"
    """Its inputs do not stand yet."""
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    """It failed and waits for its next incarnation."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    __hash__ = object.__hash__  # members are single objects; Enum's own hash is a Python function


class Event(Enum):
    """What can happen to a child."""

    START = "start"
    READY = "ready"
    RESTART = "restart"
    END = "end"
    GIVE_UP = "give_up"
    CANCEL = "cancel"

    __hash__ = object.__hash__


_END: Mapping[Event, State] = {Event.GIVE_UP: State.FAILED, Event.CANCEL: State.CANCELLED}

LIFECYCLE: Mapping[State, Mapping[Event, State]] = {
    State.WAITING: {Event.START: State.STARTING, **_END},
    State.STARTING: {Event.READY: State.RUNNING, Event.RESTART: State.RESTARTING, **_END},
    State.RUNNING: {Event.RESTART: State.RESTARTING, Event.END: State.DONE, **_END},
    State.RESTARTING: {Event.START: State.STARTING, **_END},
    # A permanent child is restarted after a normal end too.
    State.DONE: {Event.RESTART: State.RESTARTING, Event.GIVE_UP: State.FAILED},
    State.FAILED: {},
    State.CANCELLED: {},
}


def step(state: State, event: Event) -> State:
    """Return the state after an event.

    Raises:
        ValueError: the event cannot happen in that state.
    """
    after = LIFECYCLE[state].get(event)
    if after is None:
        legal = ", ".join(e.name for e in LIFECYCLE[state]) or "nothing"
        raise ValueError(f"{event.name} cannot happen in {state.name}; legal here: {legal}")
    return after
