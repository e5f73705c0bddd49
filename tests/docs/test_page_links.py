"""Links lead somewhere, and no page sends its reader to a network for what belongs to it."""

from pathlib import Path

import pytest

from harness.pages import PAGES, ROOT, anchors, links


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_every_relative_link_resolves(page: Path) -> None:
    broken: list[str] = []
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_pages_of_the_site_link_only_to_the_site(page: Path) -> None:
    """The README may link to all files; a page in docs/ is built into a folder without them."""
    inside = ROOT if page.parent == ROOT else ROOT / "docs"
    outside = [
        link
        for link in links(page)
        if "://" not in link and not (page.parent / link).resolve().is_relative_to(inside)
    ]
    assert not outside


def test_every_page_can_be_reached() -> None:
    reached = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in links(page)
        if "://" not in link
    }
    assert [page.name for page in PAGES if page not in reached and page.stem != "README"] == []
