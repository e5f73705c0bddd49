"""Who made what from what: a walk over the lineage of a report, up to the data it comes from.

    python examples/workspace/lineage_walk.py [FOLDER]

FOLDER is the workspace (default: `./.trouper`). Nobody says what comes from what: it is known from
what each task has read before it saved.
"""

import sys
import tempfile
from pathlib import Path

import trouper

wf = trouper.Workflow("report")


@wf.task
async def clean(ctx: trouper.TaskContext[None, None, None]) -> None:
    lines = ctx.find_asset("measured").path.read_text().split()
    ctx.artifact.save("clean", [int(line) for line in lines if line != "?"])


@wf.task(depends_on=[clean])
async def fit(ctx: trouper.TaskContext[None, None, None]) -> None:
    numbers = ctx.artifact.load("clean")
    ctx.artifact.save("model", {"mean": sum(numbers) / len(numbers)})


@wf.task(depends_on=[clean])
async def count(ctx: trouper.TaskContext[None, None, None]) -> None:
    ctx.artifact.save("size", len(ctx.artifact.load("clean")))


@wf.task(depends_on=[fit, count])
async def write(ctx: trouper.TaskContext) -> None:
    mean, size = ctx.artifact.load("model")["mean"], ctx.artifact.load("size")
    ctx.artifact.save("report.txt", f"{size} numbers, {mean} on average\n")


def walk(workspace: trouper.Workspace, run: trouper.Run) -> None:
    lineage = workspace.catalog.lineage
    (report,) = workspace.catalog.query_assets(name="report.txt", scope=run)
    print(f"{report.name}: {report.load().strip()}")

    def tell(asset: trouper.Asset, depth: int) -> None:
        for source in sorted(lineage.sources(asset), key=lambda each: each.name):
            print(f"{'  ' * depth}from {source.name}, by {source.producer.task or 'an import'}")
            tell(source, depth + 1)

    tell(report, 1)
    (data,) = [each for each in lineage.upstream(report) if each.kind == "data"]
    print(
        f"{data.name} was read by: {', '.join(each.task or '' for each in lineage.readers(data))}"
    )
    below = sorted(each.name for each in lineage.downstream(data))
    print(f"if it were wrong, so would be: {', '.join(below)}")


def main(root: str | None) -> None:
    with trouper.Workspace(root) as workspace:
        experiment = workspace.project("examples").experiment("lineage")
        with tempfile.TemporaryDirectory() as elsewhere:
            source = Path(elsewhere, "measured.txt")
            source.write_text("1\n2\n?\n3\n", encoding="utf-8")
            experiment.data_assets.import_asset("measured", source)
        run = experiment.run()
        trouper.run(wf, run=run).unwrap()
        walk(workspace, run)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
