"""What a task sees of its run: inputs, state, deps, config, and what it keeps in a workspace.

    python examples/workflow/task_context.py [FOLDER]

Runs a small training once, in the workspace FOLDER (default: `./.trouper`), and prints what each
task has seen and what is kept of the run. Run it again: each time is another run.
"""

import sys
import tempfile
from pathlib import Path

import trio

import trouper
from trouper import Task, TaskContext

PROFILES = """\
defaults: {lr: 0.05, batch: 2}
profiles:
  careful: {lr: 0.01}
"""

wf = trouper.Workflow("task-context-example")


class State:
    """Shared by all tasks of one execution; anything may be in it."""

    def __init__(self) -> None:
        self.seen: list[str] = []


class Deps:
    """What the tasks depend on: another one in a test, say."""

    def greeting(self) -> str:
        return "training"


@wf.task
async def load(ctx: TaskContext[State, Deps, None]) -> list[float]:
    """No upstream: `ctx.inputs` is None."""
    ctx.state.seen.append("load")
    data = ctx.find_asset("training-data")  # of the run, the experiment, the project, ...
    if data is None:  # nobody has imported it, or there is no workspace
        return [3.0, 5.0]
    return [float(line) for line in data.path.read_text().split()]


@wf.task(depends_on=[load])
async def mean(ctx: TaskContext[State, Deps, list[float]]) -> float:
    """One upstream: `ctx.inputs` is its value."""
    ctx.state.seen.append("mean")
    return sum(ctx.inputs) / len(ctx.inputs)


class Train(Task):
    """Several upstreams: `ctx.inputs` is a mapping with their names."""

    async def execute(self, ctx: TaskContext) -> dict[str, float]:
        ctx.state.seen.append("train")
        lr = ctx.config.get("lr", 1e-3)
        batch = ctx.config.get("batch", 32)
        loss = abs(ctx.inputs["mean"] - len(ctx.inputs["load"])) * lr / batch
        ctx.set_result("final_loss", loss)
        if ctx.artifact is not None:  # without a workspace there is nothing to keep it in
            ctx.artifact.save("metrics.json", {"loss": loss})
            ctx.log("train").append(f"{ctx.deps.greeting()}: loss={loss:.4f}")
            ctx.checkpoint("model", data={"weights": [loss, lr]})
        return {"loss": loss, "lr": lr}


wf.add(Train, depends_on=[load, mean])


def prepare(project: trouper.Project) -> trouper.ProfileConfig:
    """Import the data into the project, and choose a profile."""
    with tempfile.TemporaryDirectory() as elsewhere:
        numbers, profiles = Path(elsewhere, "numbers.txt"), Path(elsewhere, "profiles.yaml")
        numbers.write_text("1\n2\n4\n", encoding="utf-8")
        profiles.write_text(PROFILES, encoding="utf-8")
        project.data_assets.import_asset("training-data", numbers)
        return trouper.load_profiles(profiles).resolve("careful")


async def main(root: str | None) -> None:
    with trouper.Workspace(root) as workspace:
        project = workspace.project("examples")
        profile = prepare(project)
        run, state = project.experiment("task-context").run(), State()
        with run.start(profile_config=profile) as run_context:
            result = await wf.execute(run_context=run_context, state=state, deps=Deps())
        print(f"tasks: {', '.join(state.seen)}")
        print(f"outputs: {result.unwrap()['train']}")
        print(f"the run is {run.phase}; results: {dict(run.results)}")
        for asset in workspace.catalog.query_assets(scope=run, producer_task="train", order="name"):
            print(f"{asset.kind} {asset.name}, made by {asset.producer.task}")
        print(f"profile {run.executions()[0].profile!r}")

    # The same tasks without a workspace: nothing is kept, and nothing else is different.
    result = await wf.execute(profile_config=profile, state=State(), deps=Deps())
    print(f"without a workspace: {result.unwrap()['train']}")


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
