"""The commands that look at what is written down: `trouper runs` and `trouper config`.

What a command needs is loaded when it is called, as in `cli.py`.
"""

from typing import Annotated, Literal

from cyclopts import App, Parameter

from .command._apps import Json, Root

_RUNS_HELP = """\
List the runs that are recorded, the newest first, each by its last execution.

A run that says it goes on is checked: if its process is dead, it is failed.

  trouper runs --phase failed
  trouper runs --project p --label team=ml --limit 0
  trouper runs --json"""

_SHOW_HELP = """\
Show all that is recorded of a run: parameters, error, results, actions.

  trouper runs show monitor-20260131-154233-4f1a09c2d7"""

_ABORT_HELP = """\
Cancel a run, in whichever process it goes on, and wait for its end.

  trouper runs abort monitor-20260131-154233-4f1a09c2d7"""

_RERUN_HELP = """\
Do a run that has ended again, from the top, with what it was given.

Its task or workflow is looked for in the file that it stood in.

  trouper runs rerun nightly"""

_RECOVER_HELP = """\
Go on with a run that failed, was cancelled, or whose process died.

What had completed is not done again. A task in which processes died as
often as it may be tried fails instead.

  trouper runs recover nightly"""

_CONFIG_HELP = """\
Show a configuration as tasks will read it, or how two profiles differ.

  trouper config show --config app.yaml --profile small
  trouper config show --config app.yaml --config mine.yaml --override lr=1
  trouper config show --config app.yaml --diff small large"""

_DEFAULTS = Parameter(negative=(), show_default=False)

runs_app = App(name="runs", help=_RUNS_HELP, help_format="plaintext", default_parameter=_DEFAULTS)
config_app = App(
    name="config",
    help="Look at configurations.",
    help_format="plaintext",
    default_parameter=_DEFAULTS,
)


@runs_app.default
def list_runs(
    *,
    project: Annotated[str | None, Parameter(help="Of this project only.")] = None,
    experiment: Annotated[str | None, Parameter(help="Of this experiment only.")] = None,
    domain: Annotated[str | None, Parameter(help="Of this domain only.")] = None,
    target: Annotated[str | None, Parameter(help="Of this workflow or task only.")] = None,
    profile: Annotated[str | None, Parameter(help="With this profile only.")] = None,
    phase: Annotated[
        Literal["running", "completed", "failed", "cancelled"] | None,
        Parameter(
            name=("--phase", "--status"),
            help="In this phase only: running, completed, failed, cancelled.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None, Parameter(help="KEY=VALUE; of several, all have to be there.")
    ] = None,
    limit: Annotated[int, Parameter(help="At most so many, 20 by default; 0: all.")] = 20,
    root: Root = None,
    json: Json = False,
) -> int:
    from ._cli_runs import Wanted, list_runs

    wanted = Wanted(
        root=root,
        project=project,
        experiment=experiment,
        domain=domain,
        target=target,
        profile=profile,
        phase=phase,
        labels=label or (),
        limit=max(0, limit),
    )
    for line in list_runs(wanted, as_json=json):
        print(line)
    return 0


@runs_app.command(name="show", help=_SHOW_HELP)
def show_run(
    name: Annotated[str, Parameter(name="NAME", help="Of the run; or PROJECT/EXPERIMENT/NAME.")],
    /,
    *,
    root: Root = None,
    json: Json = False,
) -> int:
    from ._cli_runs import show_run

    for line in show_run(name, root, as_json=json):
        print(line)
    return 0


_Name = Annotated[str, Parameter(name="NAME", help="Of the run; or PROJECT/EXPERIMENT/NAME.")]
_Plain = Annotated[bool, Parameter(help="Lines instead of the live picture, on a terminal too.")]
_Report = Annotated[bool, Parameter(help="Print the report as JSON; nothing else goes to stdout.")]


@runs_app.command(name="abort", help=_ABORT_HELP)
def abort_run(
    name: _Name,
    /,
    *,
    wait: Annotated[float, Parameter(help="Seconds to wait for its end, 10 by default.")] = 10.0,
    root: Root = None,
) -> int:
    from .command._runs_again import abort_run

    for line in abort_run(name, root, wait):
        print(line)
    return 0


@runs_app.command(name="rerun", help=_RERUN_HELP)
def rerun(
    name: _Name, /, *, root: Root = None, json: _Report = False, plain: _Plain = False
) -> int:
    return _again(name, root, is_recovery=False, as_json=json, is_plain=plain)


@runs_app.command(name="recover", help=_RECOVER_HELP)
def recover(
    name: _Name, /, *, root: Root = None, json: _Report = False, plain: _Plain = False
) -> int:
    return _again(name, root, is_recovery=True, as_json=json, is_plain=plain)


def _again(name: str, root: str | None, *, is_recovery: bool, as_json: bool, is_plain: bool) -> int:
    from .command._runs_again import run_again

    code, lines = run_again(name, root, is_recovery=is_recovery, as_json=as_json, is_plain=is_plain)
    for line in lines:
        print(line)
    return code


@config_app.command(name="show", help=_CONFIG_HELP)
def show_config(
    *,
    config: Annotated[
        list[str] | None,
        Parameter(help="A YAML, JSON or TOML file; of several, each lies over the former."),
    ] = None,
    profile: Annotated[str | None, Parameter(help="Name of a profile in it.")] = None,
    override: Annotated[list[str] | None, Parameter(help="KEY=VALUE, as of trouper run.")] = None,
    diff: Annotated[
        tuple[str, str] | None, Parameter(help="Two profiles; shows where they differ.")
    ] = None,
    json: Json = False,
) -> int:
    from ._cli_config import diff_lines, no_profile_beside, show_lines

    files, overrides = config or (), override or ()
    if diff is None:
        lines = show_lines(files, profile, overrides, as_json=json)
    else:
        no_profile_beside(diff, profile)
        lines = diff_lines(files, diff, overrides, as_json=json)
    for line in lines:
        print(line)
    return 0
