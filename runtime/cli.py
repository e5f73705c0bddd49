"""The command line: `trouper run`, `check`, `graph`, `dead-letters`.

What a command needs is loaded when it is called, so that `--help` and usage errors come at once.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from ._cli_problem import Problem, user_traceback
from ._cli_records import config_app, runs_app
from ._cli_text import plain
from .command._apps import add_to as add_workspace_commands
from .command._run_flags import RunFlags
from .command._run_options import RunOptions
from .command._words import split_words

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_HELP = """\
Run, check and draw graphs of actors.

A graph is a trouper.Workflow at the top level of a Python file:

  import trouper

  wf = trouper.Workflow("hello")

  @wf.actor
  async def count(ctx):
      async for n in ctx.every(1):
          yield n

  @wf.actor(depends_on="count")
  async def show(ctx):
      async for n in ctx:
          print("hello", n)

Save it as hello.py, then:

  trouper check hello.py            is it sound? nothing runs
  trouper graph hello.py            a Mermaid flowchart
  trouper dead-letters FILE         what a run has given up
  trouper run hello.py              run it; Ctrl-C ends it in good order
  trouper run FILE TASK --n 21      run a task of a TaskEnvironment
  trouper run hello.py --for 10     run it for ten seconds

Exit codes: 0 all went well; 1 the run failed or was cut short; 2 nothing
could be run (command line, file, configuration or graph: the message says
what to correct); 130 interrupted."""

_RUN_USAGE = """\
Usage: trouper run [OPTIONS] FILE TASK [FLAGS OF THE TASK]
       trouper run [OPTIONS] FILE[:OBJECT]"""

_RUN_HELP = """\
Run a task with arguments, or a workflow, until it ends; report how it went.

A task's flags are made from its signature; `trouper run FILE TASK --help`
lists them. What stands before TASK is always an option of the run. Behind it,
what the task has no flag for is the run's. Ctrl-C cancels a task.

  trouper run steps.py train --epochs 3 --rates 0.1 --rates 0.2
  trouper run --project vision --label team=ml steps.py train --epochs 3

On a terminal there is a live picture; elsewhere a line for what happens, and
a status line every 5 s. The report of a workflow shows restarts, messages
delivered again and dead letters of each node, and the ledger of each edge:
sent = acked + dead + expired + dropped + queued + in hand.

Ctrl-C (or SIGTERM) drains a workflow: sources end, and what was accepted is
handled, 10 s at most. A second one cancels, a third leaves at once.

Its nodes read the configuration as ctx.config. Later wins: the file's plain
keys, the profile's keys, then each override in turn.

  trouper run monitor.py
  trouper run monitor.py --for 15 --override chaos=true
  trouper run pipelines.py:nightly --config prod.yaml --profile small
  trouper run etl.py --override db.host=db1 --override 'tags=[a, b]'
  trouper run etl.py --json > report.json"""

_CHECK_HELP = """\
Check a graph without running it; every problem on a line, with its fix.

Also says of each node what a restart meets: an instance serves all
incarnations and keeps its state, a class or factory gives a fresh object.

  trouper check pipelines.py:nightly"""

_DEAD_LETTERS_HELP = """\
List messages that were given up in a run, from the file that it wrote.

  trouper run etl.py --dead-letters lost.jsonl
  trouper dead-letters lost.jsonl
  trouper dead-letters lost.jsonl --id source:17
  trouper run etl.py --redeliver lost.jsonl --dead-letters lost.jsonl"""

_GRAPH_HELP = """\
Print the graph as a Mermaid flowchart.

  trouper graph monitor.py > monitor.mmd"""


def _version() -> str:
    from importlib.metadata import version

    return f"trouper {version('trouper')}"


app = App(
    name="trouper",
    help=_HELP,
    help_format="plaintext",
    version=_version,
    default_parameter=Parameter(negative=(), show_default=False),
)
app.command(runs_app)
app.command(config_app)
add_workspace_commands(app)

_File = Annotated[
    str,
    Parameter(
        name="FILE[:OBJECT]",
        help="A Python file, and the name of the object in it; may be left out of one workflow.",
    ),
]


@app.command(help=_RUN_HELP, usage=_RUN_USAGE, version_flags=())  # it has a --version of its own
def run(
    target: _File,
    /,
    *,
    seconds: Annotated[
        str | None,
        Parameter(name="--for", help="Seconds; then the run is drained. Else until it ends."),
    ] = None,
    config: Annotated[
        list[str] | None,
        Parameter(help="A YAML, JSON or TOML file; of several, each lies over the former."),
    ] = None,
    profile: Annotated[
        str | None, Parameter(help="Name of a mapping under `profiles` in that file.")
    ] = None,
    override: Annotated[
        list[str] | None,
        Parameter(help="KEY=VALUE, e.g. lr=0.1 or db.host=db1; may be given several times."),
    ] = None,
    dead_letters: Annotated[
        str | None,
        Parameter(name="--dead-letters", help="A file for the messages that were given up."),
    ] = None,
    redeliver: Annotated[
        str | None, Parameter(help="Such a file; its messages are put back before the run begins.")
    ] = None,
    json: Annotated[
        bool, Parameter(help="Print the report as JSON; nothing else goes to stdout.")
    ] = False,
    plain: Annotated[
        bool, Parameter(help="Lines instead of the live picture, on a terminal too.")
    ] = False,
    settings: Annotated[
        str | None, Parameter(help="Configuration of trouper; else config.yaml, if there is one.")
    ] = None,
    no_settings: Annotated[
        bool, Parameter(name="--no-settings", help="None, even if there is a config.yaml.")
    ] = False,
    flags: Annotated[RunFlags | None, Parameter(name="*")] = None,
) -> RunOptions:
    return RunOptions(
        target=target,
        duration=seconds,
        config=config or (),
        profile=profile,
        overrides=override or (),
        dead_letters=dead_letters,
        redeliver=redeliver,
        as_json=json,
        is_plain=plain,
        settings=settings,
        no_settings=no_settings,
        flags=flags or RunFlags(),
    )


@app.command(help=_CHECK_HELP)
def check(target: _File, /) -> int:
    from ._cli_check import check

    for line in check(target):
        print(line)
    return EXIT_OK


@app.command(help=_GRAPH_HELP)
def graph(target: _File, /) -> int:
    from ._cli_check import graph

    for line in graph(target):
        print(line)
    return EXIT_OK


@app.command(name="dead-letters", help=_DEAD_LETTERS_HELP)
def dead_letters(
    file: Annotated[
        str, Parameter(name="FILE", help="What `trouper run --dead-letters FILE` has written.")
    ],
    /,
    *,
    id: Annotated[
        str | None, Parameter(help="Show all of the letter with this id, its history included.")
    ] = None,
) -> int:
    from ._cli_dead_letters import dead_letters_command

    for line in dead_letters_command(file, id):
        print(line)
    return EXIT_OK


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; never raises for what the user can put right.

    Args:
        argv: the words after the program's name; None takes them from `sys.argv`.
    """
    tokens = sys.argv[1:] if argv is None else list(argv)
    try:
        code = _call(tokens)
        sys.stdout.flush()
    except Problem as problem:
        code = _complain(str(problem), problem.exit_code)
    except KeyboardInterrupt:
        code = _complain("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does. Python would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_FAILED
    except Exception as error:
        fault = f"this is a fault in trouper, please report it:\n{user_traceback(error)}"
        code = _complain(fault, EXIT_FAILED)
    return code


def _call(tokens: Sequence[str]) -> int:
    if tokens[:1] == ["run"]:
        return _run(tokens[1:])
    code = _parsed(tokens)
    return code if isinstance(code, int) else EXIT_OK


def _run(tokens: Sequence[str]) -> int:
    """Run what stands behind `run`, where the flags of a task may be, which cyclopts can't know."""
    flags, switches = _flags_of("run")
    words = split_words(tokens, switches)
    options = _parsed(("run", *words.own))
    if not isinstance(options, RunOptions):
        return EXIT_OK  # it was --help
    from .command._run_target import Own, run_target

    def read(own: Sequence[str]) -> RunOptions:
        again = _parsed(("run", *own))
        assert isinstance(again, RunOptions)
        return again

    return run_target(options, words, Own(flags, switches, read))


def _flags_of(command: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return all flags of a command, and those of them that take no value."""
    flags: set[str] = {"--help", "-h"}
    switches: set[str] = set(flags)
    for argument in app[command].assemble_argument_collection():
        names = [name for name in argument.names if name.startswith("--")]
        flags.update(names)
        switches.update(names if argument.hint is bool else argument.negatives)
    return frozenset(flags), frozenset(switches)


def _parsed(tokens: Sequence[str]) -> object:
    try:
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        words = plain(str(error).strip(), 2_000)
        raise Problem(f"{words}\nsee: trouper{_of(tokens)} --help") from None
    result: object = command(*bound.args, **bound.kwargs)
    return result


def _of(tokens: Sequence[str]) -> str:
    return f" {tokens[0]}" if tokens and tokens[0] in app.resolved_commands() else ""


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"trouper: {text}\n")
    return code
