"""Sizes and ages, as commands show and read them."""

from pathlib import Path

import pytest

from harness.recorded import DAY
from trouper.runtime.command._measures import age_text, bytes_below, read_age, size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (10 * 2**20, "10 MiB"),
        (2**70, "1,048,576 PiB".replace(",", "")),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (-5.0, "now"),
        (0.5, "now"),
        (59.0, "59s"),
        (60.0, "1m"),
        (3600.0, "1h"),
        (47 * 3600.0, "47h"),
        (48 * 3600.0, "2d"),
    ],
)
def test_ages(ago: float, text: str) -> None:
    assert age_text(1e9 - ago, 1e9) == text
    assert age_text(None) == "-"


def test_ages_are_read() -> None:
    assert [read_age(each) for each in ("90s", "2m", "1.5h", "7d", "1w", "3")] == [
        *(90.0, 120.0, 5400.0, 7 * DAY, 7 * DAY, 3 * DAY),
    ]


def test_links_are_not_followed_and_what_vanishes_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "up").symlink_to(tmp_path)
    assert bytes_below(tmp_path) < 5 + 4096
    assert bytes_below(tmp_path / "gone") == 0
