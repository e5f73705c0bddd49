"""`dry_run=True`: make and upload the code bundle, say what would run, and run nothing."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import trio

from ...actors._profile_config import ProfileConfig
from ...actors._run_context import RunContext
from ...actors._secret import mask_text
from .._cli_text import count, shown
from ..bundle._manifest import BundleError
from ..bundle._of_run import code_of
from ..bundle._upload import BundleReport, upload
from ..io._errors import MissingExtra
from ..io._location import Location, parse_location
from ..logs._terminal import say
from ..store._records import ActionRecord
from ._action import ActionReport
from ._outputs import Outputs
from ._parameters import Parameters

if TYPE_CHECKING:
    from ._run import TaskRun
    from ._work import Ended, Work


class DryWork:
    """In place of what a run would do. Its one output is a `BundleReport`."""

    raises = True
    failed_in: str | None = None

    def __init__(
        self, work: "Work", context: RunContext, parameters: Parameters, root: Path
    ) -> None:
        """Take the work that is not to be done.

        Args:
            root: the folder of the workspace: there the bundle goes if nothing else was said.
        """
        self.name = work.name
        self.inputs: Mapping[str, object] = work.inputs
        self.kind: Literal["task", "workflow"] = work.kind
        self._work = work
        self._context = context
        self._raw: str = context.raw_data_path or str((root / "raw").absolute())
        copy_to: str | Path | None = parameters.get("copy_bundle_to")
        self._copy_to = None if copy_to is None else Path(copy_to).absolute()
        self._scope = trio.CancelScope()

    @property
    def config(self) -> ProfileConfig:
        return self._work.config

    async def obey(self, run: "TaskRun", interrupts: trio.MemoryReceiveChannel[int]) -> None:
        async for _ in interrupts:
            run.interrupted = True
            run.abort("interrupted")

    def cancel(self, reason: str) -> None:
        self._scope.cancel()

    def actions(self) -> ActionReport:
        return ActionReport(
            name=self.name, task=self.name, phase="waiting", attempts=0, started=0.0, ended=0.0
        )

    def look(self, execution: int) -> Iterable[ActionRecord]:
        return ()

    def source(self) -> dict[str, str]:
        return self._work.source()

    async def run(self) -> "Ended":
        with self._scope:
            try:
                # Not given up half-way: it is whole or not there.
                report = await trio.to_thread.run_sync(self._make)
            except (BundleError, MissingExtra, OSError) as error:
                return "failed", Outputs(), error
            say("\n".join(_told(report)))
            return "completed", Outputs((report,), ("bundle",)), None
        return "cancelled", Outputs(), None

    def _make(self) -> BundleReport:
        raw: Location = parse_location(self._raw, "raw_data_path")
        bundle = code_of(self._context).bundle()
        report = upload(bundle, self._context.version, raw, self._copy_to)
        return msgspec.structs.replace(report, would_run="\n".join(self._plan()))

    def _plan(self) -> Iterator[str]:
        context = self._context
        where = {
            "project": context.project,
            "domain": context.domain,
            "org": context.org,
            "queue": context.queue,
        }
        said = "".join(f", {name} {value}" for name, value in where.items() if value)
        yield f"{self.kind} {self.name!r} as run {context.run_name!r}, mode {context.mode}{said}"
        for name, value in self.inputs.items():
            yield f"  {name} = {mask_text(shown(value))}"


def _told(report: BundleReport) -> Iterator[str]:
    yield f"dry run: nothing was executed; would run {report.would_run}"
    yield (
        f"bundle of version {report.version}: {report.uri} "
        f"({count(len(report.files), 'file')}, {report.size:,} bytes)"
    )
    if report.copied_to is not None:
        yield f"copied to {report.copied_to}"
