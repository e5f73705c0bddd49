"""A run whose process is killed in the middle, and another process that goes on where it was.

    python examples/workspace/resume_after_crash.py [FOLDER]

The program starts itself twice. The first process downloads, then kills itself while it trains; the
second finds the run failed, resumes it, downloads nothing, and trains on from the last checkpoint.
FOLDER is the workspace (default: `./.trouper`).
"""

import os
import signal
import subprocess
import sys
from typing import Any

import trouper

EPOCHS = 5
wf = trouper.Workflow("training")


@wf.task
async def download(ctx: trouper.TaskContext[bool, None, None]) -> list[int]:
    print("  download: once", flush=True)
    return [3, 1, 4, 1, 5]


@wf.task(depends_on=[download])
async def train(ctx: trouper.TaskContext[bool, None, list[int]]) -> int:
    model: dict[str, Any] = ctx.restore("model", {"epoch": 0, "weight": 0})
    for epoch in range(model["epoch"], EPOCHS):
        if ctx.state and epoch == 3:
            print("  train: the process is killed", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        model = {"epoch": epoch + 1, "weight": model["weight"] + ctx.inputs[epoch]}
        ctx.checkpoint("model", data=model)
        ctx.set_result("epochs", epoch + 1)
        print(f"  train: epoch {epoch + 1}, weight {model['weight']}", flush=True)
    return int(model["weight"])


def the_run(root: str, name: str) -> trouper.Run:
    return trouper.Workspace(root).project("examples").experiment("crash").run(id=name)


def work(root: str, name: str, *, is_doomed: bool) -> None:
    """What each of the two processes does."""
    run = the_run(root, name)
    begin = run.start() if run.phase == "pending" else run.resume()
    result = trouper.run(wf, run=begin, state=is_doomed)
    print(f"  result: {result.unwrap()['train']}", flush=True)


def main(root: str) -> None:
    # A run without parameters and id is a new one; the processes know it by its name.
    name = trouper.Workspace(root).project("examples").experiment("crash").run().id
    run = the_run(root, name)
    for which in ("doomed", "second"):
        print(f"{which} process, the run is {run.phase}:", flush=True)
        command = [sys.executable, __file__, root, name, which]
        subprocess.run(command, check=which == "second")
    for each in run.executions():
        print(f"{each.id.removeprefix(name)[1:]}: {each.phase} {each.error_code or ''}".rstrip())
    print(f"results: {dict(run.results)}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder, name, which]:
            work(folder, name, is_doomed=which == "doomed")
        case [folder]:
            main(folder)
        case _:
            main(".trouper")
