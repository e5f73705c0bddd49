"""The ways to a database that the page on embedding shows, against a real one."""

import asyncio
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.pages import ROOT, blocks
from harness.postgres import postgres
from harness.programs import EXAMPLES, load_program


def test_orders_are_heard_of_looked_up_and_booked(capsys: pytest.CaptureFixture[str]) -> None:
    """Also those from before: a source that begins again begins with what is not booked yet."""
    program: Any = load_program("embedding.postgres")
    with postgres() as dsn:
        asyncio.run(program.main(dsn, 20))
        with psycopg.connect(dsn, autocommit=True) as connection:
            asyncio.run(program.order(dsn, 5))  # nobody listens
            asyncio.run(program.main(dsn, 20))
            booked = connection.execute("select count(*) from booked").fetchone()
    assert capsys.readouterr().out.startswith("booked 20 orders\n")
    assert booked is not None
    assert 40 <= booked[0] <= 45


def test_what_the_page_shows_is_of_the_program() -> None:
    program = (EXAMPLES / "embedding/postgres.py").read_text()
    page: Path = ROOT / "docs/embedding.md"
    shown = [each.code for each in blocks(page) if "psycopg" in each.code or "asyncpg" in each.code]
    assert len(shown) == 1
    for part in re.split(r"\n\n+", shown[0].strip()):
        assert part in program, part
