"""`trouper ws`: make a workspace, look at what is in it, and make its database anew."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, define, field, frozen

from .._cli_problem import Problem
from .._cli_text import columns, count, plain
from ..store._records import Phase, RunRecord
from ..workspace._names import folder_of
from ..workspace._workspace import Workspace
from ._configured import configured_place
from ._measures import age_text, bytes_below, size_text
from ._places import opened_workspace, problems

if TYPE_CHECKING:
    from ..assets._rebuilt import Rebuilt


def init_lines(root: str | None, *, as_json: bool) -> Iterator[str]:
    """Make the workspace, if there is none yet.

    Raises:
        Problem: it can't be made.
    """
    with configured_place(root), problems(), Workspace(root) as workspace:
        was_there = workspace.is_there()
        path = str(workspace.store.path.parent)
    if as_json:
        yield json.dumps({"root": path, "made": not was_there}, indent=2)
    else:
        yield f"{'there is a' if was_there else 'made the'} workspace {plain(path, 2_000)}"


def rebuild_lines(root: str | None, *, dry_run: bool, as_json: bool) -> Iterator[str]:
    """Make the database anew from the files that are there, and yield what was done.

    Raises:
        Problem: there is no workspace; or some files can't be taken in, when all others are.
    """
    from ..assets._rebuild import Rebuild

    with configured_place(root), problems(), Workspace(root) as workspace:
        # The database may be what was lost; then the folders say that this is a workspace.
        is_lost = not workspace.is_there() and (workspace.path / "projects").is_dir()
        if not is_lost:
            Workspace(root, create=False)  # refused if it is none
        elif dry_run:
            raise Problem(
                f"{plain(workspace.path, 2_000)} has no database to compare with; leave out "
                "--dry-run, and it is made from the files"
            )
        rebuild = Rebuild(workspace.catalog.store, dry_run)
        rebuilt, trouble = rebuild.run(), rebuild.trouble()
        if as_json:
            told = {**asdict(rebuilt), "problems": list(map(str, rebuild.troubles))}
            yield json.dumps({"dry_run": dry_run, **told}, indent=2)
        else:
            yield from _rebuilt(rebuilt, dry_run=dry_run)
        if trouble is not None:
            raise trouble


def _rebuilt(rebuilt: "Rebuilt", *, dry_run: bool) -> Iterator[str]:
    would = "would be " if dry_run else ""
    for word, runs in (("taken in", rebuilt.taken_in), ("forgotten", rebuilt.forgotten)):
        for each in runs:
            yield f"{would}{word}: {plain(each, 400)}"
    yield (
        f"{count(rebuilt.runs, 'run')} and {count(rebuilt.manifests, 'manifest')} of assets, "
        f"{len(rebuilt.taken_in):,} {would}taken in, {len(rebuilt.forgotten):,} {would}forgotten"
    )


@define(kw_only=True)
class _Experiment:
    """One experiment, with its newest runs first; or a project that has assets alone."""

    project: str
    name: str | None
    params: dict[str, Any]
    runs: list[RunRecord] = field(factory=list[RunRecord])

    @property
    def key(self) -> str:
        project = f"projects/{folder_of(self.project)}"
        return project if self.name is None else f"{project}/experiments/{folder_of(self.name)}"

    @property
    def last(self) -> float | None:
        return max((each.ended or each.started for each in self.runs), default=None)

    def phases(self) -> str:
        """Return `3 completed, 1 failed`."""
        counted = Counter[Phase](each.phase for each in self.runs)
        order: tuple[Phase, ...] = ("running", "completed", "failed", "cancelled")
        return ", ".join(f"{counted[each]:,} {each}" for each in order if counted[each])


@frozen
class _Contents:
    """All that a workspace holds."""

    root: Path
    experiments: Sequence[_Experiment]


def _contents(workspace: Workspace) -> _Contents:
    found: dict[tuple[str, str], _Experiment] = {}
    with workspace.reading() as store:
        assert store is not None
        for project, name, params in store.runs.scopes():
            found[project, name] = _Experiment(project=project, name=name, params=params)
        for run in store.runs.query(limit=None):
            of = (run.project, run.experiment)
            if of not in found:
                found[of] = _Experiment(project=run.project, name=run.experiment, params={})
            found[of].runs.append(run)
    for project, *below in workspace.scopes_of_assets():
        for name in below:
            found.setdefault((project, name), _Experiment(project=project, name=name, params={}))
        if not any(of[0] == project for of in found):
            found[project, ""] = _Experiment(project=project, name=None, params={})
    return _Contents(workspace.path, [found[key] for key in sorted(found)])


def list_lines(root: str | None, *, as_json: bool) -> Iterator[str]:
    """Yield a line for each experiment: its runs, size and age.

    Raises:
        Problem: there is no workspace, or it can't be read.
    """
    with opened_workspace(root) as workspace:
        contents = _contents(workspace)
        sizes = [bytes_below(contents.root / each.key) for each in contents.experiments]
    if as_json:
        rows = zip(contents.experiments, sizes, strict=True)
        yield json.dumps(
            {
                "root": str(contents.root),
                "size": bytes_below(contents.root),
                "experiments": [
                    {
                        "project": each.project,
                        "experiment": each.name,
                        "params": each.params,
                        "runs": len(each.runs),
                        "phases": Counter(run.phase for run in each.runs),
                        "size": size,
                        "last": each.last,
                    }
                    for each, size in rows
                ],
            },
            indent=2,
        )
        return
    yield f"{plain(contents.root, 2_000)}, {size_text(bytes_below(contents.root))}"
    head = ("PROJECT", "EXPERIMENT", "RUNS", "SIZE", "LAST", "PHASES")
    table = [
        (
            plain(each.project, 40),
            "-" if each.name is None else plain(each.name, 40),
            f"{len(each.runs):,}",
            size_text(size),
            age_text(each.last),
            each.phases(),
        )
        for each, size in zip(contents.experiments, sizes, strict=True)
    ]
    yield from columns([head, *table], indent="") if table else ["no runs"]


def tree_lines(root: str | None, *, limit: int, as_json: bool) -> Iterator[str]:
    """Yield projects, experiments and runs, each below what it belongs to.

    Args:
        limit: runs of each experiment, the newest; 0: all.

    Raises:
        Problem: there is no workspace, or it can't be read.
    """
    with opened_workspace(root) as workspace:
        contents = _contents(workspace)
    below: defaultdict[str, list[_Experiment]] = defaultdict(list)
    for each in contents.experiments:
        below[each.project].append(each)
    if as_json:
        projects = {
            project: {
                each.name: [_run_as_json(contents, each, run) for run in each.runs[: limit or None]]
                for each in experiments
                if each.name is not None
            }
            for project, experiments in below.items()
        }
        yield json.dumps({"root": str(contents.root), "projects": projects}, indent=2)
        return
    yield f"{plain(contents.root, 2_000)}"
    for project, experiments in below.items():
        yield f"  {plain(project)}"
        for each in experiments:
            if each.name is None:
                continue
            yield f"    {plain(each.name)}, {count(len(each.runs), 'run')}"
            yield from _runs(contents, each, limit)


def _runs(contents: _Contents, of: _Experiment, limit: int) -> Iterator[str]:
    shown = of.runs[: limit or None]
    rows = [
        (
            plain(run.name),
            run.phase,
            age_text(run.started),
            size_text(bytes_below(_folder(contents, of, run))),
            plain(run.target, 40),
        )
        for run in shown
    ]
    yield from columns(rows, indent="      ")
    if len(shown) < len(of.runs):
        yield f"      and {count(len(of.runs) - len(shown), 'older run')}"


def _folder(contents: _Contents, of: _Experiment, run: RunRecord) -> Path:
    return contents.root / of.key / "runs" / run.name


def _run_as_json(contents: _Contents, of: _Experiment, run: RunRecord) -> dict[str, Any]:
    folder = _folder(contents, of, run)
    return {
        "name": run.name,
        "phase": run.phase,
        "target": run.target,
        "profile": run.profile,
        "started": run.started,
        "ended": run.ended,
        "executions": run.number,
        "path": str(folder),
        "size": bytes_below(folder),
    }
