"""`trouper config show`, and the configuration of `trouper run`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.command import trouper_command, write

__all__ = ["trouper_command"]

Command = Callable[..., tuple[int, str, str]]

TRAIN = """
lr: 1e-3
batch-size: 1
when: 2024-01-01
model: {layers: 2, width: 64}
profiles:
  small: {model: {width: 8}, batch_size: true, only: "1"}
  large: {model: {width: 8, depth: [1, {a: 2}]}, only: 1}
  deep: {extends: large}
  broken-off: {}
"""


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write(tmp_path, TRAIN, "train.yaml")


def test_a_configuration_is_shown_as_tasks_will_read_it(
    trouper_command: Command, train: Path
) -> None:
    code, out, _ = trouper_command(
        "config", "show", "--config", train, "--profile", "deep", "--override", "lr=2"
    )
    assert code == 0
    head, digest, *lines = out.splitlines()
    assert head == "# profile: deep"
    assert digest.startswith("# hash: ")
    assert lines == [
        "lr: 2",
        "batch-size: 1",
        'when: "2024-01-01"',
        "model.layers: 2",
        "model.width: 8",
        'model.depth: [1, {"a": 2}]',
        "only: 1",
    ]
    code, out, _ = trouper_command("config", "show", "--config", train, "--json")
    told: dict[str, Any] = json.loads(out)
    assert (code, told["profile"]) == (0, None)
    assert told["config"]["model"] == {"layers": 2, "width": 64}
    assert len(told["hash"]) == 32


def test_no_file_is_an_empty_configuration(trouper_command: Command) -> None:
    code, out, _ = trouper_command("config", "show", "--override", "a.b=1")
    assert code == 0
    assert out.splitlines()[0::2] == ["# profile: none", "a.b: 1"]


def test_the_difference_of_two_profiles_is_shown(trouper_command: Command, train: Path) -> None:
    show = ("config", "show", "--config", train, "--diff")
    code, out, _ = trouper_command(*show, "small", "large")
    assert code == 0
    assert out.splitlines() == [
        "  batch-size: true -> 1",
        '  only: "1" -> 1',
        '+ model.depth: [1, {"a": 2}]',
    ]
    code, out, _ = trouper_command(*show, "deep", "broken_off", "--json")
    assert json.loads(out) == {
        "model.width": {"from": 8, "to": 64},
        "model.depth": {"from": [1, {"a": 2}]},
        "only": {"from": 1},
    }
    assert trouper_command(*show, "deep", "broken-off")[1].splitlines()[1:] == [
        '- model.depth: [1, {"a": 2}]',
        "- only: 1",
    ]
    assert trouper_command(*show, "large", "deep")[1] == "large and deep are equal\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--profile", "smal"), "there is no profile 'smal'; did you mean 'small'? known: 'small'"),
        (("--diff", "small", "x"), "there is no profile 'x'; known: 'small', 'large', 'deep'"),
        (("--diff", "small", "deep", "--profile", "x"), "names both profiles; leave out --prof"),
        (("--override", "a"), "the override 'a' has no '='; write KEY=VALUE"),
        (("--config", "none.yaml"), "--config none.yaml can't be read: No such file"),
    ],
)
def test_what_can_not_be_shown_is_told(
    trouper_command: Command, train: Path, words: tuple[str, ...], problem: str
) -> None:
    code, out, err = trouper_command("config", "show", "--config", train, *words)
    assert (code, out) == (2, "")
    assert problem in err


def test_a_file_that_is_wrong_is_told(trouper_command: Command, tmp_path: Path) -> None:
    file = write(tmp_path, "a: [", "bad.yaml")
    code, _, err = trouper_command("config", "show", "--config", file)
    assert code == 2
    assert "bad.yaml, line 1: " in err
    assert "correct the file" in err


PROGRAM = """
import trouper

wf = trouper.Workflow("w")

@wf.task
async def read(ctx):
    return [ctx.config.name, ctx.config.get("batch_size"), ctx.config["model"]["width"]]
"""


def test_a_run_reads_layers_profiles_and_overrides(
    trouper_command: Command, train: Path, tmp_path: Path
) -> None:
    program = write(tmp_path, PROGRAM, "reads_config.py")
    mine = write(tmp_path, '[profiles.mine]\nextends = "deep"\n', "mine.toml")
    code, out, err = trouper_command(
        "run",
        program,
        *("--config", train, "--config", mine, "--profile", "mine"),
        *("--override", "batch_size=5", "--json"),
    )
    assert code == 0, err
    assert json.loads(out)["outputs"] == {"read": ["mine", 5, 8]}
