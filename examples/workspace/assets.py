"""Everything that a run can keep: data, artifacts, logs, checkpoints; and how it is found again.

    python examples/workspace/assets.py [FOLDER]

FOLDER is the workspace (default: `./.trouper`). The second time, data and artifacts have a second
version, the log is longer, and training goes on where its last checkpoint was.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import trouper

wf = trouper.Workflow("training")


@wf.task
async def train(ctx: trouper.TaskContext[None, None, None]) -> float:
    """Go on from the last checkpoint, whichever execution has made it."""
    numbers = [float(line) for line in ctx.find_asset("numbers").path.read_text().split()]
    state = ctx.restore(default={"epoch": 0, "weight": 0.0})
    log = ctx.log("train")
    for epoch in range(state["epoch"] + 1, state["epoch"] + 4):
        weight = state["weight"] + sum(numbers) / 10**epoch
        state = {"epoch": epoch, "weight": weight}
        ctx.checkpoint("model", data=state)
        log.append(f"epoch {epoch}: weight {weight:.3f}")
    ctx.artifact.save("metrics.json", state, tags={"stage": "dev"})
    return float(state["weight"])


@wf.task(depends_on=[train])
async def export(ctx: trouper.TaskContext[None, None, float]) -> int:
    """Stream what is too large for memory: nobody holds all of it."""

    def rows() -> Iterator[bytes]:
        for row in range(10_000):
            yield f"{row},{ctx.inputs * row:.3f}\n".encode()

    table = await ctx.artifact.asave("tables/export.csv", rows())
    return int(table.size)


def main(root: str | None) -> None:
    with trouper.Workspace(root) as workspace:
        project = workspace.project("examples")
        with tempfile.TemporaryDirectory() as elsewhere:
            source = Path(elsewhere, "numbers.txt")
            source.write_text("1\n2\n4\n", encoding="utf-8")
            project.data_assets.import_asset("numbers", source, action="move")
        run = project.experiment("assets").run(id="training")
        start = run.start() if run.phase == "pending" else run.rerun()
        trouper.run(wf, run=start).unwrap()
        kinds = ("data", "artifact", "checkpoint", "log")
        for asset in workspace.catalog.query_assets(kind=kinds, scope=project, order="name"):
            maker = asset.producer.task or "nobody's task"
            where = asset.path.relative_to(project.path).as_posix()
            print(
                f"{asset.kind} {asset.name} {asset.version}, {asset.size} bytes, {maker}: {where}"
            )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
