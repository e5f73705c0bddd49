"""Which configuration a command runs under."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.command import trouper_command, write
from trouper.runtime.settings._init import forget, is_initialised

__all__ = ["trouper_command"]
Call = Callable[..., tuple[int, str, str]]

WHO = """
import trouper
env = trouper.TaskEnvironment("who")

@env.task
async def who() -> list[str | None]:
    action = trouper.ctx().action
    return [action.project, action.domain]
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name in ("TROUPER_PROJECT", "TROUPER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    yield write(tmp_path, WHO, "who_under_test.py")
    forget()


def who(call: Call, *words: object) -> Any:
    code, out, err = call("run", "--json", *words)
    assert code == 0, err
    return json.loads(out)["outputs"]["o0"]


def test_what_is_left_out_is_as_configured(trouper_command: Call, path: Path) -> None:
    """The page: unset parameters inherit from config.yaml."""
    path.with_name("config.yaml").write_text("task: {project: ours, domain: test}\n")
    assert who(trouper_command, path, "who") == ["ours", "test"]
    assert who(trouper_command, "--project", "mine", path, "who") == ["mine", "test"]
    assert who(trouper_command, "--no-settings", path, "who") == [None, None]
    assert not is_initialised()


def test_a_file_can_be_named(trouper_command: Call, path: Path) -> None:
    other = path.with_name("other.yaml")
    other.write_text("task: {project: other}\n")
    assert who(trouper_command, "--settings", other, path, "who") == ["other", None]


def test_what_the_program_says_itself_wins(trouper_command: Call, path: Path) -> None:
    path.with_name("config.yaml").write_text("task: {project: ours}\n")
    path.write_text(WHO + 'trouper.init(project="said")\n')
    assert who(trouper_command, path, "who") == ["said", None]
    trouper.init(project="before")
    path.write_text(WHO)
    assert who(trouper_command, path, "who") == ["before", None]


def test_a_file_of_profiles_is_no_configuration(trouper_command: Call, tmp_path: Path) -> None:
    """`--config config.yaml` is what tasks read, and may well have that name."""
    text = (
        "import trouper\nwf = trouper.Workflow('w')\n"
        "@wf.task\ndef lr(ctx): return ctx.config['lr']\n"
    )
    config = tmp_path / "config.yaml"
    config.write_text("lr: 0.5\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        path = write(tmp_path, text)
        code, out, err = trouper_command("run", "--json", path, "--config", config)
        assert code == 0, err
        assert json.loads(out)["outputs"] == {"lr": 0.5}
        code, _, err = trouper_command("run", path)
    assert code == 2
    assert "unknown key 'lr'" in err
    assert "If it is no configuration of trouper, say --settings FILE, or --no-settings" in err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--settings", "gone.yaml"], "the settings gone.yaml can't be read: No such file"),
        (["who", "--no-settings"], "write them before the file"),
        (["who", "--settings", "config.yaml"], "write them before the file"),
    ],
)
def test_what_is_refused(trouper_command: Call, path: Path, words: list[str], part: str) -> None:
    path.with_name("config.yaml").write_text("task: {project: ours}\n")
    own = words if words[0] == "--settings" else []
    behind = ["who"] if own else words
    code, _, err = trouper_command("run", *own, path, *behind)
    assert code == 2
    assert part in err


def test_commands_find_the_workspace_that_is_configured(
    trouper_command: Call, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TROUPER_HOME", raising=False)
    root = path.with_name("kept")
    path.with_name("config.yaml").write_text(f"storage: {{root: {root}}}\n")
    assert trouper_command("ws", "init")[1] == f"made the workspace {root}\n"
    assert trouper_command("runs") == (0, "no runs\n", "")
    assert trouper_command("assets", "ls")[1] == "no assets\n"
    path.with_name("config.yaml").write_text("mine: 1\n")
    for words in (["runs"], ["ws", "ls"], ["prune"]):
        code, _, err = trouper_command(*words)
        assert code == 2
        assert "say where the workspace is: --root FOLDER" in err
        assert trouper_command(*words, "--root", root)[0] == 0
