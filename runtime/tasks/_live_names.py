"""The names of the runs that go on in this process: a live one is refused, an ended one free."""

import threading

_live: set[str] = set()
_lock = threading.Lock()


def claim(name: str) -> None:
    """Take a name until `release`.

    Raises:
        ValueError: a run of that name goes on.
    """
    with _lock:
        if name in _live:
            raise ValueError(
                f"a run named {name!r} goes on; wait for its end, abort() it, or choose another "
                "name="
            )
        _live.add(name)


def release(name: str) -> None:
    with _lock:
        _live.discard(name)
