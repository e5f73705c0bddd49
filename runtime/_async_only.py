"""What is opened by `async with` says so to whoever writes `with`."""

from typing import TYPE_CHECKING, NoReturn


class AsyncOnly:
    """Base of handles that wait when they are left."""

    _opened_as = ""
    """What to write, for the error."""

    if not TYPE_CHECKING:  # a checker tells it without being told

        def __enter__(self) -> NoReturn:
            raise TypeError(
                f"{type(self).__name__} waits when it is left, which `with` can't; write "
                f"`{self._opened_as}`"
            )

        def __exit__(self, *_exc: object) -> None: ...  # `with` looks for it before it enters
