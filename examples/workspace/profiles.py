"""One workflow under several profiles: each profile is a run of its own, and says so afterwards.

    python examples/workspace/profiles.py [FOLDER]

Reads `profiles.yaml` beside this file. Start it again: a profile whose content has not changed is
the same run, which has completed and is left alone; change a value there, and only the profiles
that it belongs to run. FOLDER is the workspace (default: `./.trouper`).
"""

import sys
from pathlib import Path
from typing import Any

import trouper

PROFILES = Path(__file__).with_name("profiles.yaml")
wf = trouper.Workflow("size-of-a-model")


@wf.task
async def weights(ctx: trouper.TaskContext[None, None, None]) -> int:
    """Count the weights of a model, as the profile describes it."""
    model = ctx.config["model"]
    count = int(model["layers"] * model["width"] ** 2)
    ctx.set_result("weights", count)
    return count


def main(root: str | None) -> None:
    profiles: trouper.Profiles[Any] = trouper.load_profiles(PROFILES)
    with trouper.Workspace(root) as workspace:
        experiment = workspace.project("examples").experiment("profiles")
        for name in ("small", "large", "large-deep"):
            run = experiment.run(profile_config=profiles.resolve(name))
            if run.done():
                print(f"{name}: has completed before")
            else:
                trouper.run(wf, run=run).unwrap()
                print(f"{name}: done now")
        for run in reversed(experiment.runs()):
            execution = run.executions()[-1]
            model, told = execution.config["model"], execution.config_hash[:8]
            size = f"{model['layers']} x {model['width']}"
            print(f"{execution.profile} ({told}): {size} -> {run.results['weights']} weights")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
