"""`{secret: ...}` in the configuration of trouper: tasks have the value, nobody else sees it."""

import logging
import os
from pathlib import Path

import pytest

import trouper

env = trouper.TaskEnvironment("secret-settings")
TEXT = """
run:
  env_vars: {TOKEN_OF_THE_TEST: {secret: swordfish}, PLAIN: x}
  custom-context: {key: {secret: tiger-lily}, team: ml}
"""


@pytest.fixture(autouse=True)
def _a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TROUPER_HOME", str(tmp_path / "ws"))


@env.task
async def tells() -> bool:
    context = trouper.ctx()
    assert context is not None
    said = f"{os.environ['TOKEN_OF_THE_TEST']} {context.custom_context['key']}"
    logging.getLogger("of.the.user").warning("said: %s", said)
    return said == "swordfish tiger-lily"


def written(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())


@pytest.mark.parametrize("isolate", [None, "process"])
def test_tasks_have_the_values_and_nothing_shows_them(tmp_path: Path, isolate: str | None) -> None:
    Path("config.yaml").write_text(TEXT, encoding="utf-8")
    found = trouper.init_from_config()
    assert found.run_defaults()["env_vars"] == {"TOKEN_OF_THE_TEST": "swordfish", "PLAIN": "x"}
    for secret in ("swordfish", "tiger-lily"):
        assert secret not in repr(found)
    run = trouper.with_runcontext(isolate=isolate).run(tells)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # one of the two
    assert run.outputs() == (True,)
    on_disk = written(tmp_path / "ws")
    assert b"TOKEN_OF_THE_TEST" in on_disk
    assert b"swordfish" not in on_disk
    assert b"tiger-lily" not in on_disk


def test_init_takes_them_too() -> None:
    found = trouper.init(run={"env_vars": {"A": trouper.Secret("x"), "B": {"secret": "yy"}}})
    assert found.run.env_vars == {"A": "x", "B": "yy"}
    assert "'x'" not in repr(found)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("run: {labels: {a: {secret: b}}}", r"run.labels.a can't be secret, .*run.env_vars"),
        ("run: {name: {secret: b}}", r"config.yaml: run.name can't be secret"),
        ("run: {secret: b}", r"config.yaml: run can't be secret"),
        ("run: {env_vars: {A: {secret: [1]}}}", r"run.env_vars.A: a secret holds one value"),
        ("run: {env_vars: {A: {secret: 1}}}", r"run.env_vars.A: expected `str`, got `int`"),
    ],
)
def test_where_it_would_be_shown_it_is_refused(text: str, problem: str) -> None:
    Path("config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=problem):
        trouper.init_from_config()
