"""Twenty runs of one experiment, side by side, and a table of their results.

    python examples/workspace/parameter_sweep.py [FOLDER]

Looks for the learning rate and momentum with which gradient descent comes down a valley fastest.
Break it off and start it again: runs that have completed are not done again, for equal parameters
are the same run. FOLDER is the workspace (default: `./.trouper`).
"""

import sys
from itertools import product

import trio

import trouper

RATES = (0.01, 0.03, 0.1, 0.2, 0.3)
MOMENTA = (0.0, 0.3, 0.6, 0.9)
AT_ONCE = 4

wf = trouper.Workflow("descend")


@wf.task
async def descend(ctx: trouper.TaskContext[dict[str, float], None, None]) -> float:
    """Walk down f(x, y) = x^2 + 5 y^2 and say how high we still are."""
    rate, momentum = ctx.state["rate"], ctx.state["momentum"]
    x, y, vx, vy = 4.0, 2.0, 0.0, 0.0
    for _ in range(30):
        vx = momentum * vx - rate * 2 * x
        vy = momentum * vy - rate * 10 * y
        x, y = x + vx, y + vy
        await trio.lowlevel.checkpoint()
    height = x * x + 5 * y * y
    ctx.set_result("height", height)
    return height


async def run_missing(experiment: trouper.Experiment) -> list[trouper.Run]:
    """Begin what never began, resume what failed or was cut off, and leave the rest alone."""
    runs: list[trouper.Run] = []
    room = trio.CapacityLimiter(AT_ONCE)

    async def one(run: trouper.Run, parameters: dict[str, float]) -> None:
        async with room:
            begin = run.start() if run.phase == "pending" else run.resume()
            await wf.execute(run=begin, state=parameters)

    async with trio.open_nursery() as nursery:
        for rate, momentum in product(RATES, MOMENTA):
            parameters = {"rate": rate, "momentum": momentum}
            run = experiment.run(parameters)
            runs.append(run)
            if run.phase in ("pending", "failed", "cancelled"):
                nursery.start_soon(one, run, parameters)
    return runs


def table(runs: list[trouper.Run]) -> str:
    """Return a line for each run, the best first."""
    lines = ["rate   momentum  height    phase"]
    for run in sorted(runs, key=lambda each: each.results.get("height", float("inf"))):
        told, height = run.parameters, run.results.get("height", float("nan"))
        row = f"{told['rate']:<6} {told['momentum']:<9} {height:<9.3g} {run.phase}"
        lines.append(row)
    return "\n".join(lines)


async def main(root: str | None) -> None:
    with trouper.Workspace(root) as workspace:
        experiment = workspace.project("examples").experiment("valley", params={"steps": 30})
        print(table(await run_missing(experiment)))


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
