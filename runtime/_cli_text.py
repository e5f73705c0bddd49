"""Text from outside, made harmless for a terminal, and columns of it.

Rule 1: whatever a user, a process or a message has named goes through `plain` before it is printed.
Rule 2: nothing is printed as markup: rich gets `Text`, never a `str`.
"""

from collections.abc import Iterable, Iterator, Sequence

_LONGEST = 500
"""Characters of one value."""


def plain(value: object, most: int = _LONGEST) -> str:
    r"""Return one line that a terminal shows as it is, and does not obey.

    What can't be seen is written as Python writes it: `\x1b`, `\n`, `\u202e` (which would turn the
    line round), `\udcff` (a byte of a name that is no text).

    Args:
        most: characters; what is longer is cut in the middle, where ends are often equal.
    """
    text = _text(value)
    if len(text) > most:
        half = (most - 3) // 2
        text = f"{text[: most - 3 - half]}...{text[len(text) - half :]}"
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def plain_lines(value: object) -> Iterator[str]:
    """Yield the lines of a text, each as `plain` gives it."""
    for line in _text(value).split("\n"):
        yield plain(line.replace("\t", "    "), 2_000)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as problem:  # the user's __str__; the report must not fail for it
        return f"(its text can't be made: {type(problem).__name__})"


def shown(value: object, most: int = 120) -> str:
    """Return a payload's repr, made harmless."""
    try:
        text = repr(value)
    except Exception as problem:  # the user's __repr__, likewise
        text = f"(its repr can't be made: {type(problem).__name__})"
    return plain(text, most)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def columns(rows: Iterable[Sequence[str]], indent: str = "  ") -> Iterator[str]:
    """Yield one line per row; cells that look like numbers stand to the right."""
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (_padded(cell, width) for cell, width in zip(row, widths, strict=True))
        yield (indent + "  ".join(cells)).rstrip()


def _padded(cell: str, width: int) -> str:
    return cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)


def count(number: int, one: str, many: str | None = None) -> str:
    """Return `1 restart`, `1,234 restarts`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def rate(per_second: float) -> str:
    """Return `0/s`, `0.2/s`, `12/s`, `1,234/s`."""
    return f"{per_second:.1f}/s" if 0 < per_second < 9.95 else f"{per_second:,.0f}/s"
