"""What comes from outside is shown by a terminal, and not obeyed."""

import logging
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trouper.runtime._cli_logging import log_lines
from trouper.runtime._cli_text import columns, count, plain, plain_lines, rate, shown

WIDE = st.text(st.characters(exclude_categories=())) | st.text(
    "\x1b[]0m\r\n\x07\x9b\u202e a", max_size=40
)


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("kworker/0:1", "kworker/0:1"),
        ("größe 大小", "größe 大小"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("a\nb\rc", r"a\nb\rc"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("\udcff", r"\udcff"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
    ],
)
def test_escapes_what_a_terminal_would_obey(text: str, harmless: str) -> None:
    assert plain(text) == harmless


@given(WIDE)
def test_nothing_of_any_text_is_obeyed_and_it_can_be_written(text: str) -> None:
    bad = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    for line in [plain(text), *plain_lines(text), shown(text)]:
        assert not [each for each in line if unicodedata.category(each) in bad]
        line.encode("utf-8")


def test_long_text_keeps_both_ends() -> None:
    text = plain("a" * 300 + "b" * 300, 101)
    assert len(text) == 101
    assert (text[:3], text[-3:]) == ("aaa", "bbb")
    assert "..." in text


def test_lines_keep_their_indentation() -> None:
    assert list(plain_lines("a\n\tb\x1b")) == ["a", r"    b\x1b"]


def test_a_value_without_a_text_is_shown_all_the_same() -> None:
    assert plain(Rude()) == "(its text can't be made: RuntimeError)"
    assert shown(Rude()) == "(its repr can't be made: RuntimeError)"


def test_columns_put_numbers_to_the_right() -> None:
    assert list(columns([("edge", "sent"), ("a -> b", "1,000"), ("c", "7")])) == [
        "  edge    sent",
        "  a -> b  1,000",
        "  c           7",
    ]


def test_numbers_are_read_as_words() -> None:
    assert [count(1, "restart"), count(1200, "restart")] == ["1 restart", "1,200 restarts"]
    assert [rate(0), rate(0.25), rate(12.4), rate(12345.6)] == ["0/s", "0.2/s", "12/s", "12,346/s"]


def test_log_lines_are_harmless_and_end_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    said: list[str] = []
    with log_lines(said.append):
        logging.getLogger("trouper.x").warning("a\x1b[2J\nb")
        logging.getLogger("elsewhere").info("not shown")
    logging.getLogger("trouper.x").debug("too late")
    assert [line.partition(" ")[2] for line in said[:1]] == [r"WARNING a\x1b[2J"]
    assert said[1:] == ["b"]
    assert not logging.getLogger().handlers


def test_a_log_line_that_cannot_be_shown_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def refuse(_line: str) -> None:
        raise OSError("no terminal")

    with log_lines(refuse):
        logging.getLogger("trouper").warning("x")


def test_a_program_with_its_own_handlers_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    own = logging.NullHandler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [own])
    with log_lines(print):
        assert logging.getLogger().handlers == [own]
