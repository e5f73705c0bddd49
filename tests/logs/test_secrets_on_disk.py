"""What a run logs and fails with holds no secret on disk, nor do its inputs and configuration."""

import logging
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.logs import root_logger
from harness.projects import make_files
from trouper.errors import RuntimeUserError

PASSWORD = "swordfish-in-the-sea"
env = trouper.TaskEnvironment("secrets")
log = logging.getLogger("secrets")


def holding(folder: Path) -> list[str]:
    """Name the files below a folder in which the password stands."""
    return [
        str(each.relative_to(folder))
        for each in folder.rglob("*")
        if each.is_file() and PASSWORD.encode() in each.read_bytes()
    ]


@env.task(retries=1)
async def connect(secret: trouper.Secret) -> None:
    log.warning("connecting with %s", secret.reveal())
    raise OSError(f"refused {secret.reveal()}")


@env.task
async def root(secret: trouper.Secret) -> list[Any]:
    try:
        await connect(secret)
    except RuntimeUserError:
        log.exception("no way")
    return [secret, {"text": f"it was {secret.reveal()}"}]


def test_a_task_that_is_given_one_and_gives_it_back(tmp_path: Path) -> None:
    secret = trouper.Secret(PASSWORD)
    with root_logger(), redirect_stderr(StringIO()) as shown:
        run = trouper.with_runcontext(workspace=tmp_path).run(root, secret)
        with pytest.raises(RuntimeUserError, match=PASSWORD):
            trouper.with_runcontext(workspace=tmp_path).run(connect, secret)
    assert run.outputs()[0][0] is secret
    assert (tmp_path / "trouper.db").exists()
    assert holding(tmp_path) == []
    assert PASSWORD not in shown.getvalue()


async def test_a_graph_that_reads_one_from_its_configuration(tmp_path: Path) -> None:
    make_files(tmp_path, {"c.yaml": f"db: {{password: {{secret: {PASSWORD}}}}}\n"})
    config = trouper.load_profiles(tmp_path / "c.yaml").resolve()
    wf = trouper.Workflow("graph")

    @wf.task
    async def connects(ctx: trouper.TaskContext) -> str:
        password: str = ctx.config["db"]["password"].reveal()
        log.warning("with %s", password)
        ctx.set_result("length", len(password))
        return password[::-1]

    @wf.task(depends_on=connects)
    async def fails(opened: str) -> None:
        raise OSError(f"closed for {opened[::-1]}")

    with trouper.Workspace(tmp_path / "home") as workspace:
        run = workspace.project("p").experiment("e").run(id="r")
        with root_logger(), redirect_stderr(StringIO()) as shown:
            result = await wf.execute(run=run.start(profile_config=config))
    assert result.status == "failed"
    assert PASSWORD in str(result.error)
    assert holding(tmp_path / "home") == []
    assert PASSWORD not in shown.getvalue()
