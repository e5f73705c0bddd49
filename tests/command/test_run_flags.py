"""Each parameter of a run has a flag, and each flag reaches it (F30: none is without effect)."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from harness.command import trouper_command, write
from harness.pages import table
from trouper.runtime.cli import main
from trouper.runtime.command import _run_task
from trouper.runtime.command._run_flags import FLAGS
from trouper.runtime.tasks._parameters import RunParameters

__all__ = ["trouper_command"]
Call = Callable[..., tuple[int, str, str]]

OURS: dict[str, tuple[list[str], object]] = {
    "isolate": (["--isolate", "process"], "process"),
    "workspace": (["--no-workspace"], False),
}
"""Parameters that the page does not have."""

PAGE = Path(__file__).parents[1] / "seed" / "run-context.md"

WORDS: dict[str, tuple[list[str], object]] = {
    "mode": (["--mode", "local"], "local"),
    "project": (["--project", "p"], "p"),
    "domain": (["--domain", "d"], "d"),
    "name": (["--name", "n"], "n"),
    "version": (["--version", "v"], "v"),
    "queue": (["--queue", "q"], "q"),
    "interruptible": (["--no-interruptible"], False),
    "raw_data_path": (["--raw-data-path", "s3://b/x"], "s3://b/x"),
    "run_base_dir": (["--run-base-dir=base"], "base"),
    "overwrite_cache": (["--overwrite-cache"], True),
    "disable_run_cache": (["--no-disable-run-cache"], False),
    "cache_lookup_scope": (["--cache-lookup-scope", "run"], "run"),
    "service_account": (["--service-account", "s"], "s"),
    "env_vars": (["--env", "A=1", "--env", "B=x=y"], {"A": "1", "B": "x=y"}),
    "labels": (["--label", "team=ml"], {"team": "ml"}),
    "annotations": (["--annotation", "k="], {"k": ""}),
    "log_level": (["--log-level", "debug"], logging.DEBUG),
    "log_format": (["--log-format", "json"], "json"),
    "reset_root_logger": (["--reset-root-logger"], True),
    "copy_style": (["--copy-style", "all"], "all"),
    "dry_run": (["--dry-run"], True),
    "copy_bundle_to": (["--copy-bundle-to", "out"], "out"),
    "interactive_mode": (["--interactive-mode"], True),
    "preserve_original_types": (["--preserve-original-types"], True),
    "custom_context": (["--custom-context", "a=b"], {"a": "b"}),
}


def parameters_of_the_page() -> set[str]:
    parts = (
        *("Execution target", "Storage", "Caching", "Identity and resources", "Logging"),
        *("Code bundling", "Context propagation"),
    )
    return {row[0].strip("`") for part in parts for row in table(PAGE, part)}


def test_every_parameter_of_the_page_has_a_flag() -> None:
    assert parameters_of_the_page() == set(WORDS)
    assert {*WORDS, *OURS} == set(FLAGS) == {"mode", *RunParameters.__annotations__}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run a task with words before and behind its name, and return what the runner was given."""
    text = "import trouper\nenv = trouper.TaskEnvironment('e')\n@env.task\ndef t(): pass\n"
    path = write(tmp_path, text)
    caught: list[dict[str, Any]] = []

    def catch(mode: object = None, **parameters: Any) -> NoReturn:
        caught.append(parameters if mode is None else {"mode": mode, **parameters})
        raise ValueError("caught")

    monkeypatch.setattr(_run_task, "with_runcontext", catch)

    def call(before: list[str], behind: list[str]) -> dict[str, Any]:
        assert main(["run", "--no-settings", *before, str(path), "t", *behind]) == 2
        return caught.pop()

    return call


@pytest.mark.usefixtures("trouper_command")
@pytest.mark.parametrize("name", [*WORDS, *OURS])
def test_every_flag_reaches_the_runner(given: Callable[..., dict[str, Any]], name: str) -> None:
    words, value = {**WORDS, **OURS}[name]
    assert given(words, []) == {name: value}
    assert given([], words) == {name: value}


@pytest.mark.usefixtures("trouper_command")
def test_all_flags_at_once(given: Callable[..., dict[str, Any]]) -> None:
    every = [word for words, _ in WORDS.values() for word in words]
    expected = {name: value for name, (_, value) in WORDS.items()}
    assert given(every, []) == given([], every) == expected
    assert given([], []) == {}
