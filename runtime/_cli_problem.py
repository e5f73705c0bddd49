"""What the user can put right: one clear message, no traceback of ours, exit code 2."""

import traceback
from collections.abc import Iterator

from ._cli_text import plain, plain_lines

_FRAMES = 6


class Problem(Exception):
    """Nothing could be run. The text names what is wrong and the fix; it may have several lines."""

    exit_code = 2


class LateProblem(Problem):
    """The run has ended; what was to be done after it could not be."""

    exit_code = 1


def user_traceback(error: BaseException) -> str:
    """Return a short traceback without the frames that are ours, innermost place last."""
    return "\n".join(_lines(error))


def _lines(error: BaseException) -> Iterator[str]:
    places = [
        each
        for each in traceback.walk_tb(error.__traceback__)
        if str(each[0].f_globals.get("__name__")).partition(".")[0] != "trouper"
    ]
    for frame in traceback.StackSummary.extract(iter(places[-_FRAMES:])):
        yield f"  {plain(frame.filename)}:{frame.lineno} in {plain(frame.name)}"
        if frame.line:
            yield f"    {plain(frame.line)}"
    for text in traceback.format_exception_only(error):
        yield from (f"  {each}" for each in plain_lines(text.rstrip()))
