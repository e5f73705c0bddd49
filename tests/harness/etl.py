"""A small graph of batch tasks, for runs of a workspace."""

from typing import Any

import trouper


class Etl:
    """A graph of two tasks; the second fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.calls: list[str] = []
        self.failures = failures
        self.wf = wf = trouper.Workflow("etl")

        @wf.task
        async def load(ctx: trouper.TaskContext) -> list[int]:
            self.calls.append("load")
            ctx.set_result("rows", 3)
            return [1, 2, 3]

        @wf.task(depends_on=[load])
        async def total(ctx: trouper.TaskContext) -> int:
            self.calls.append("total")
            if self.failures:
                self.failures -= 1
                raise ValueError("no total today")
            rows: list[int] = ctx.inputs
            return sum(rows) * int(ctx.config.get("scale", 1))

    async def execute(self, **options: Any) -> trouper.WorkflowResult:
        return await self.wf.execute(**options)
