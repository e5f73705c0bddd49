"""Bad input: one clear message with the fix, a non-zero exit, and no traceback of ours."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.command import STREAM, trouper_command, write

__all__ = ["trouper_command"]
Call = Callable[..., tuple[int, str, str]]

TWO = """
import trouper
one = trouper.Workflow("one")
two = trouper.Workflow("two")
@two.task
def task() -> int: return 1
also_two = two
number = 7
class Wrong: pass
def make(): return trouper.Workflow("made")
"""

BAD: list[tuple[str, str, str, list[str]]] = [
    ("no file", "", "missing.py", ["there is no file", "missing.py", "name a Python file"]),
    ("folder", "", ".", ["is a folder; name the Python file in it"]),
    ("alike", STREAM, "strem.py", ["no file", "did you mean 'stream.py'"]),
    ("no Python", "wf = 1\nthis is (not Python\n", "", ["line 2", "is no Python", "correct it"]),
    ("binary", "wf = 1\0", "", ["is no Python", "name another file"]),
    (
        "raises",
        "import os\ndef f():\n    os.stat('/nonexistent')\nf()\n",
        "",
        ["raised while it was"],
    ),
    ("exits", "import sys\nsys.exit(0)\n", "", ["called sys.exit()", "__main__"]),
    ("empty", "x = 1\n", "", ["holds no workflow", "wf = trouper.Workflow("]),
    ("several", TWO, "", ["holds 3 workflows; choose one of", "stream.py:one", "stream.py:two"]),
    ("no such object", TWO, "stream.py:oen", ["has no 'oen'", "did you mean 'one'"]),
    ("no object", TWO, "stream.py:", ["behind the colon stands the name of a workflow"]),
    ("no name", TWO, "stream.py:a-b", ["behind the colon stands the name of a workflow"]),
    ("wrong type", TWO, "stream.py:number", ["is of type int, not trouper.Workflow", "one, two"]),
    ("a class", TWO, "stream.py:Wrong", ["is of type type", "wf = Wrong()"]),
    ("a function", TWO, "stream.py:make", ["is of type function", "wf = make()"]),
    ("the class", "from trouper import Workflow", "stream.py:Workflow", ["wf = Workflow("]),
    ("nothing there", "x = 1", "stream.py:y", ["has no 'y'", "holds no workflow at all"]),
    ("nothing of it", "x = 1", "stream.py:x", ["is of type int", "holds no workflow at all"]),
]


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("text", "target", "parts"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_one_clear_message_with_the_fix(
    trouper_command: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    text: str,
    target: str,
    parts: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, text, "stream.py")
    code, out, err = trouper_command(command, target or "stream.py")
    assert (code, out) == (2, "")
    assert err.startswith("trouper: ")
    assert not [part for part in parts if part not in err], err
    assert "Traceback" not in err


def test_of_a_workflow_and_its_nodes_the_outer_one_is_meant(
    trouper_command: Call, tmp_path: Path
) -> None:
    text = TWO + "one.task(name='a')(lambda: 1)\ntwo.add(one)\n"
    code, out, err = trouper_command("check", write(tmp_path, text))
    assert (code, err) == (0, "")
    assert "one/a" in out


def test_users_traceback_is_short_and_only_theirs(trouper_command: Call, tmp_path: Path) -> None:
    """Known fault F35: the user's own line is told."""
    text = "import json\ndef f(n):\n    json.loads('\x1b{') if n == 0 else f(n - 1)\nf(20)\n"
    path = write(tmp_path, text)
    code, _, err = trouper_command("run", path)
    assert code == 2
    assert len(err.splitlines()) < 20
    assert "JSONDecodeError: Expecting value" in err
    assert "runtime/_cli" not in err
    assert "\x1b" not in err


def test_a_bad_option_in_the_file_names_the_users_line(
    trouper_command: Call, tmp_path: Path
) -> None:
    text = "import trouper\nwf = trouper.Workflow('w')\n@wf.actor(capacity=-1)\ndef f(ctx): ...\n"
    path = write(tmp_path, text)
    _, _, err = trouper_command("check", path)
    assert f"{path}:3 in <module>" in err
    assert "capacity" in err
    assert "_options.py" not in err


def test_unreadable_file(trouper_command: Call, tmp_path: Path) -> None:
    path = write(tmp_path)

    def refuse(_self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        code, _, err = trouper_command("run", path)
    assert code == 2
    assert "can't be read: Permission denied" in err


def test_interrupted_while_loading(trouper_command: Call, tmp_path: Path) -> None:
    code, _, err = trouper_command("run", write(tmp_path, "raise KeyboardInterrupt"))
    assert (code, err) == (130, "trouper: interrupted\n")


def test_file_is_run_like_a_script_but_not_as_main(trouper_command: Call, tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_test.py").write_text("NAME = 'beside'\n")
    text = (
        "import sys, pickle\nimport neighbour_of_test, trouper\n"
        "assert sys.argv == [__file__], sys.argv\n"
        "class Value: pass\nassert type(pickle.loads(pickle.dumps(Value()))) is Value\n"
        "wf = trouper.Workflow(neighbour_of_test.NAME)\n"
        "@wf.task\ndef one() -> int: return 1\n"
        "if __name__ == '__main__':\n    raise RuntimeError('as main')\n"
    )
    code, out, _ = trouper_command("check", write(tmp_path, text, "my_program.py"))
    assert code == 0
    assert "beside can run: 1 node, 0 edges" in out
    assert "my_program" in sys.modules


@pytest.mark.parametrize("name", ["queue.py", "my program.txt", "trio.py", "a:b.py"])
def test_any_file_name_will_do(trouper_command: Call, tmp_path: Path, name: str) -> None:
    before = {each: sys.modules.get(each) for each in ("queue", "trio")}
    code, out, err = trouper_command("check", write(tmp_path, STREAM, name))
    assert (code, err) == (0, "")
    assert "stream can run" in out
    assert {each: sys.modules.get(each) for each in before} == before


def test_one_of_several_is_chosen(trouper_command: Call, tmp_path: Path) -> None:
    code, out, _ = trouper_command("check", f"{write(tmp_path, TWO)}:two")
    assert code == 0
    assert "two can run" in out


def test_one_workflow_under_two_names_is_one(trouper_command: Call, tmp_path: Path) -> None:
    text = "import trouper\na = b = trouper.Workflow('same')\n@a.task\ndef one() -> int: return 1\n"
    path = write(tmp_path, text)
    assert trouper_command("check", path)[0] == 0
