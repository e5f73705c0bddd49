"""The pages of the documentation: their code blocks, links and tables."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@frozen
class Block:
    """One fenced block."""

    language: str
    code: str
    line: int
    """Of its first line of code, from 1."""


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        yield Block(found[1], found[2], text.count("\n", 0, found.start(2)) + 1)


def links(page: Path) -> list[str]:
    return _LINK.findall(_prose(page))


def anchors(page: Path) -> set[str]:
    """Return what a link may have behind its `#`: GitHub and mkdocs agree on plain headings."""
    return {_slug(heading) for heading in _HEADING.findall(_prose(page))}


def table(page: Path, heading: str) -> Iterator[Sequence[str]]:
    """Yield the rows of the first table below a heading, each as its cells."""
    text = _prose(page)
    assert f"# {heading}\n" in text, f"{page.name} has no heading {heading!r}"
    below = text.partition(f"# {heading}\n")[2].splitlines()
    rows = [line for line in below[: _next_heading(below)] if line.startswith("|")]
    for row in rows[2:]:
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def _next_heading(lines: Sequence[str]) -> int:
    return next((at for at, line in enumerate(lines) if line.startswith("#")), len(lines))


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
