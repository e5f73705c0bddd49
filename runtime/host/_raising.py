"""What has failed on the other side is raised on this one."""

from typing import Protocol


class Failed(Protocol):
    """What keeps the exception that it ended by."""

    error: BaseException | None


def raise_error(of: Failed) -> None:
    """Raise what a thing has failed by, if it did, and never again.

    Nothing that its traceback leads to holds on to it afterwards: it would live, and with it all
    arguments on the way, until the garbage collector looks.
    """
    error, of.error = of.error, None
    if error is not None:
        try:
            raise error
        finally:
            del error
