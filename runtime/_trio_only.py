"""What only trio can run is refused elsewhere, before anything of it has begun."""

import sniffio
import trio


def refuse_outside_trio(what: str, instead: str) -> None:
    """Raise an error if no trio task runs here.

    Args:
        what: was called.
        instead: what serves there.

    Raises:
        RuntimeError: naming both.
    """
    if trio.lowlevel.in_trio_task():
        return
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        library = "no event loop"
    raise RuntimeError(f"{what} is for trio, and {library} runs here; write {instead}")
