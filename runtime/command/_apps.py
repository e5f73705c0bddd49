"""The commands that look at a workspace: `ws`, `assets`, `logs`, `prune`.

What a command needs is loaded when it is called, as in `cli.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from ._assets import Wanted

_WS_HELP = """\
Make a workspace, and look at what is in it.

  trouper ws init
  trouper ws ls
  trouper ws tree --limit 5
  trouper ws rebuild --dry-run"""

_ASSETS_HELP = """\
Look at the files that runs have kept: artifacts, logs, checkpoints, data.

An asset is meant by its id, or by its name: the newest version, then. Of
several scopes or kinds that have the name, --run and --kind choose one.

  trouper assets ls --run train-20260131-154233-4f1a09c2d7
  trouper assets show model.pt --run train-20260131-154233-4f1a09c2d7
  trouper assets cat metrics.json
  trouper assets path model.pt --version 2
  trouper assets lineage report.html"""

_LOGS_HELP = """\
Show what a run has logged, or one of its logs by name.

  trouper logs train-20260131-154233-4f1a09c2d7
  trouper logs train-20260131-154233-4f1a09c2d7 loss --tail 20 --follow"""

_PRUNE_HELP = """\
Remove runs that ended long ago, with all that they have kept. Asks before.

  trouper prune --dry-run
  trouper prune --older-than 7d --phase failed
  trouper prune --older-than 0d --keep 5 --experiment sweep --yes"""

_DEFAULTS = Parameter(negative=(), show_default=False)


def _app(name: str, help: str) -> App:
    return App(
        name=name,
        help=help,
        help_format="plaintext",
        default_parameter=_DEFAULTS,
        version_flags=(),  # --version is that of an asset
    )


ws_app = _app("ws", _WS_HELP)
assets_app = _app("assets", _ASSETS_HELP)

Root = Annotated[
    str | None,
    Parameter(
        help="Folder of the workspace; else $TROUPER_HOME, else storage.root as configured, "
        "else ./.trouper."
    ),
]
Json = Annotated[bool, Parameter(help="Print JSON.")]
_Reference = Annotated[str, Parameter(name="ASSET", help="Its id or its name.")]
_Kind = Annotated[
    str | None,
    Parameter(help="artifact, log, checkpoint, data, output, error_trace or execution_state."),
]
_Run = Annotated[str | None, Parameter(help="In the folder of this run.")]
_Project = Annotated[str | None, Parameter(help="In this project only.")]
_Experiment = Annotated[str | None, Parameter(help="In this experiment only.")]
_Version = Annotated[int | None, Parameter(help="Another one than the newest.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class _Which:
    """Options that choose among assets of one name."""

    kind: _Kind = None
    run: _Run = None
    version: _Version = None
    root: Root = None

    def wanted(self) -> "Wanted":
        from ._assets import Wanted

        return Wanted(root=self.root, kind=self.kind, run=self.run, version=self.version)


_ANY = _Which()


def _print(lines: Iterable[str]) -> int:
    for line in lines:
        print(line)
    return 0


@ws_app.command(name="init", help="Make the folder and its database, if they are not there.")
def ws_init(
    folder: Annotated[str | None, Parameter(name="FOLDER", help="As --root.")] = None,
    /,
    *,
    root: Root = None,
    json: Json = False,
) -> int:
    from ._workspace_tree import init_lines

    return _print(init_lines(root if folder is None else folder, as_json=json))


@ws_app.command(name="ls", help="List experiments, with their runs, sizes and ages.")
def ws_ls(*, root: Root = None, json: Json = False) -> int:
    from ._workspace_tree import list_lines

    return _print(list_lines(root, as_json=json))


@ws_app.command(name="tree", help="Show projects, experiments and runs as a tree.")
def ws_tree(
    *,
    limit: Annotated[int, Parameter(help="Runs of each experiment, 10 by default; 0: all.")] = 10,
    root: Root = None,
    json: Json = False,
) -> int:
    from ._workspace_tree import tree_lines

    return _print(tree_lines(root, limit=max(0, limit), as_json=json))


@ws_app.command(name="rebuild", help="Make the database anew from the files that are there.")
def ws_rebuild(
    *,
    dry_run: Annotated[bool, Parameter(help="Only show what would be done.")] = False,
    root: Root = None,
    json: Json = False,
) -> int:
    from ._workspace_tree import rebuild_lines

    return _print(rebuild_lines(root, dry_run=dry_run, as_json=json))


@assets_app.command(name="ls", help="List assets, the newest first.")
def assets_ls(
    *,
    kind: _Kind = None,
    name: Annotated[str | None, Parameter(help="Of this name only.")] = None,
    project: _Project = None,
    experiment: _Experiment = None,
    run: _Run = None,
    task: Annotated[str | None, Parameter(help="Made by this task.")] = None,
    tag: Annotated[
        list[str] | None, Parameter(help="With this tag; of several, all have to be there.")
    ] = None,
    order: Annotated[
        Literal["newest", "oldest", "name"], Parameter(help="newest, oldest or name.")
    ] = "newest",
    limit: Annotated[int, Parameter(help="At most so many, 20 by default; 0: all.")] = 20,
    root: Root = None,
    json: Json = False,
) -> int:
    from ._assets import Wanted, list_lines

    wanted = Wanted(
        root=root,
        kind=kind,
        name=name,
        project=project,
        experiment=experiment,
        run=run,
        task=task,
        tags=tag or (),
        order=order,
        limit=max(0, limit),
    )
    return _print(list_lines(wanted, as_json=json))


@assets_app.command(name="show", help="Show all that is known of an asset.")
def assets_show(asset: _Reference, /, *, which: _Which = _ANY, json: Json = False) -> int:
    from ._assets import show_lines

    return _print(show_lines(asset, which.wanted(), as_json=json))


@assets_app.command(name="path", help="Print where an asset lies.")
def assets_path(asset: _Reference, /, *, which: _Which = _ANY, json: Json = False) -> int:
    from ._assets import path_lines

    return _print(path_lines(asset, which.wanted(), as_json=json))


@assets_app.command(name="cat", help="Print what an asset holds; into a pipe byte by byte.")
def assets_cat(asset: _Reference, /, *, which: _Which = _ANY, json: Json = False) -> int:
    from ._assets import cat

    cat(asset, which.wanted(), as_json=json)
    return 0


@assets_app.command(name="lineage", help="Show what an asset was made from, and for what used.")
def assets_lineage(asset: _Reference, /, *, which: _Which = _ANY, json: Json = False) -> int:
    from ._lineage import lineage_lines

    return _print(lineage_lines(asset, which.wanted(), as_json=json))


def logs(
    run: Annotated[str, Parameter(name="RUN", help="Its name; or PROJECT/EXPERIMENT/NAME.")],
    name: Annotated[
        str | None, Parameter(name="NAME", help="As of ctx.log(NAME); else what was logged.")
    ] = None,
    /,
    *,
    follow: Annotated[bool, Parameter(help="Go on until the run has ended.")] = False,
    tail: Annotated[int, Parameter(help="The last so many lines; 0: all.")] = 0,
    root: Root = None,
    json: Annotated[bool, Parameter(help="Print each line as a JSON object.")] = False,
) -> int:
    from ._show_logs import log_lines

    for line in log_lines(run, name, root, tail=max(0, tail), follow=follow, as_json=json):
        print(line, flush=follow)
    return 0


def prune(
    *,
    older_than: Annotated[
        str, Parameter(help="Ended so long ago: 12h, 7d, 0d. 30d by default.")
    ] = "30d",
    keep: Annotated[int, Parameter(help="The newest so many of each experiment stay.")] = 0,
    phase: Annotated[
        Literal["completed", "failed", "cancelled"] | None,
        Parameter(help="In this phase only: completed, failed, cancelled."),
    ] = None,
    project: _Project = None,
    experiment: _Experiment = None,
    keep_buckets: Annotated[bool, Parameter(help="Leave alone what lies in buckets.")] = False,
    dry_run: Annotated[bool, Parameter(help="Only show what would be removed.")] = False,
    yes: Annotated[bool, Parameter(help="Don't ask.")] = False,
    root: Root = None,
    json: Json = False,
) -> int:
    from ._prune import Wanted, prune

    wanted = Wanted(
        root=root,
        older_than=older_than,
        keep=keep,
        phase=phase,
        project=project,
        experiment=experiment,
        keep_buckets=keep_buckets,
    )
    return _print(prune(wanted, dry_run=dry_run, yes=yes, as_json=json))


def add_to(app: App) -> None:
    """Add these commands to the program."""
    app.command(ws_app)
    app.command(assets_app)
    app.command(logs, name="logs", help=_LOGS_HELP)
    app.command(prune, name="prune", help=_PRUNE_HELP)
