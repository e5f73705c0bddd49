"""`trouper run FILE TASK`: flags from the signature, the report, JSON, exit codes."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.command import run_process, trouper_command, write

__all__ = ["trouper_command"]
Call = Callable[..., tuple[int, str, str]]

FILE = """
import dataclasses, datetime, decimal, enum, functools, pathlib, sys, uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Optional, TypedDict
import msgspec, trio, trouper

env = trouper.TaskEnvironment("flags")

class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"

class Point(msgspec.Struct):
    x: int
    y: int = 0

@dataclasses.dataclass
class Pair:
    a: int
    b: str

@env.task
async def process(n: int) -> int:
    return n * 2

@env.task
async def root(n: int) -> int:
    '''Double a number.'''
    return await process(n)

@env.task
async def greet(name: str, loud: bool = False, max_items: int | None = 3) -> list[Any]:
    return [name, loud, max_items, trouper.ctx().action.run_name]

@env.task
def every_type(
    text: str = "", number: float = 0.5, size: Size = Size.SMALL, day: datetime.date | None = None,
    amount: decimal.Decimal | None = None, which: Literal["a", 1] = "a",
    path: pathlib.Path = pathlib.Path("."),
    items: list[int] = [], names: tuple[str, ...] = (), two: tuple[int, str] = (0, ""),
    several: Sequence[float] = (), unique: set[int] = set(), sizes: dict[str, int] = {},
    point: Point | None = None, pair: Pair | None = None,
    few: Annotated[int, msgspec.Meta(ge=0, le=9)] = 1, either: int | str = 0, unsaid=None,
    fast: bool | None = None, raw: bytes = b"", bare: list = [], other: complex | None = None,
) -> Any:
    return {name: value for name, value in locals().items()}

@env.task
async def stars(first: int, /, second: int = 2, *values: int, **pairs: int) -> Any:
    return [first, second, values, pairs]

@env.task(name="other-name")
async def fails() -> None:
    raise ValueError("\\x1b[2J[red]no")

@env.task
async def exits() -> None:
    sys.exit(3)

@env.task
async def calls(n: int) -> None:
    with trouper.group("many"):
        for number in range(n):
            await process(number)
    try:
        await fails()
    except trouper.errors.RuntimeUserError:
        pass

@env.task(retries=2)
async def in_vain() -> None:
    raise OSError("again")

@env.task
async def prints(json: str = "") -> Any:
    print("in the body")
    return [object(), float("nan"), json]

@env.task
def region() -> Any:
    import os
    print("in the body")
    return [os.environ.get("REGION"), os.getpid()]

@env.task
async def who() -> Any:
    context = trouper.ctx()
    return [context.action.project, context.action.domain, context.version, context.custom_context,
        context.raw_data_path, context.run_base_dir, context.disable_run_cache]

twenty = functools.partial(root, 20)
partly = functools.partial(greet, name="Ann")
wf = trouper.Workflow("graph")

@wf.task
def one() -> int:
    return 1
number = 7
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path, FILE, "flags_under_test.py")


def outputs(call: Call, *words: object) -> Any:
    """Run, and return what came out."""
    code, out, err = call("run", "--json", *words)
    assert code == 0, out + err
    values = json.loads(out)["outputs"]
    return values["o0"] if len(values) == 1 else values


def test_a_task_is_run_with_its_flags(trouper_command: Call, path: Path) -> None:
    code, out, err = trouper_command("run", path, "root", "--n", "21")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert re.fullmatch(r"run root-[\d-]+-\w+ of root: started; Ctrl-C cancels it", lines[0])
    assert re.fullmatch(r"run root-\S+ of root: completed after \d+\.\d s", lines[2])
    assert lines[3].startswith("  root  completed  ")
    assert lines[4].startswith("    process-1  completed  ")
    assert lines[5] == "o0 = 42"


def test_it_is_named_by_variable_name_or_behind_a_colon(trouper_command: Call, path: Path) -> None:
    assert outputs(trouper_command, path, "root", "--n=21") == 42
    assert outputs(trouper_command, f"{path}:root", "--n", "21") == 42
    assert outputs(trouper_command, path, "twenty") == 40
    assert outputs(trouper_command, path, "partly")[:3] == ["Ann", False, 3]
    code, out, _ = trouper_command("run", path, "other-name")
    assert code == 1
    assert "of other-name: failed" in out


def test_a_workflow_of_the_same_file_is_still_meant_by_the_file(
    trouper_command: Call, path: Path
) -> None:
    for words in ([path], [f"{path}:wf"], [path, "wf"]):
        code, out, _ = trouper_command("run", *words, "--plain")
        assert code == 0
        assert "of graph: completed" in out


def test_what_stands_before_the_task_is_the_runs(trouper_command: Call, path: Path) -> None:
    assert outputs(trouper_command, "--name", "first", path, "greet", "--name", "Ann") == [
        "Ann",
        False,
        3,
        "first",
    ]
    # A flag that the task doesn't have is the run's, wherever it stands.
    behind = outputs(trouper_command, path, "who", "--project", "p", "--custom-context=a=b=c")
    assert behind[0] == "p"
    assert behind[3] == {"a": "b=c"}


def test_switches(trouper_command: Call, path: Path) -> None:
    for words, loud in (
        ((), False),
        (("--loud",), True),
        (("--no-loud",), False),
        (("--loud=yes",), True),
        (("--loud=off",), False),
    ):
        assert outputs(trouper_command, path, "greet", "--name=x", *words)[1] is loud
    assert outputs(trouper_command, path, "greet", "--name=x", "--max-items", "5")[2] == 5
    assert outputs(trouper_command, path, "greet", "--name=x", "--max_items", "null")[2] is None


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--text", "21"], "text", "21"),
        (["--text", "--n"], "text", "--n"),
        (["--text="], "text", ""),
        (["--number", "1e3"], "number", 1000.0),
        (["--number", "-2"], "number", -2.0),
        (["--size", "LARGE"], "size", "l"),
        (["--size", "l"], "size", "l"),
        (["--day", "2026-01-31"], "day", "2026-01-31"),
        (["--amount", "1.10"], "amount", "1.10"),
        (["--which", "1"], "which", 1),
        (["--path", "a/b"], "path", "PosixPath('a/b')"),
        (["--items", "1", "--items", "2"], "items", [1, 2]),
        (["--items", "[3, 4]"], "items", [3, 4]),
        (["--items", "[]"], "items", []),
        (["--names", "a", "--names", "1"], "names", ["a", "1"]),
        (["--two", "1", "--two", "x"], "two", [1, "x"]),
        (["--several", "1"], "several", [1.0]),
        (["--unique", "[2, 2]"], "unique", [2]),
        (["--sizes", "a=1", "--sizes", "b=2"], "sizes", {"a": 1, "b": 2}),
        (["--sizes", "{a: 1}"], "sizes", {"a": 1}),
        (["--point", "{x: 1}"], "point", {"x": 1, "y": 0}),
        (["--point", '{"x": 1, "y": 2}'], "point", {"x": 1, "y": 2}),
        (["--pair", "{a: 1, b: z}"], "pair", {"a": 1, "b": "z"}),
        (["--few", "9"], "few", 9),
        (["--either", "21"], "either", 21),
        (["--either", "v21"], "either", "v21"),
        (["--unsaid", "21"], "unsaid", 21),
        (["--unsaid", "[1, a]"], "unsaid", [1, "a"]),
        (["--unsaid", "text"], "unsaid", "text"),
        (["--fast"], "fast", True),
        (["--raw", "aGk="], "raw", "aGk="),
        (["--bare", "1", "--bare", "a"], "bare", [1, "a"]),
    ],
)
def test_values_are_read_as_the_annotation_says(
    trouper_command: Call, path: Path, words: list[str], name: str, value: object
) -> None:
    assert outputs(trouper_command, path, "every_type", *words)[name] == value


def test_stars_and_positions(trouper_command: Call, path: Path) -> None:
    assert outputs(trouper_command, path, "stars", "--first", "1") == [1, 2, [], {}]
    words = ["--first=1", "--values=3", "--values=4", "--pairs", "a=5", "--pairs", "b=6"]
    assert outputs(trouper_command, path, "stars", *words) == [1, 2, [3, 4], {"a": 5, "b": 6}]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["root"], ["task 'root' needs --n INT; it is root(n: int)"]),
        (["root", "--m", "3"], ["task 'root' has no --m; did you mean '--n'?"]),
        (["root", "--n", "3", "--projct", "p"], ["no --projct; did you mean '--project'?"]),
        (["root", "--n", "3", "--zzzzz"], ["no --zzzzz; known: '--n'"]),
        (["root", "21"], ["'21' is no flag; arguments of a task are given by name"]),
        (["root", "--n"], ["--n needs a value; write --n VALUE"]),
        (["root", "--n", "x"], ["--n takes int, not 'x'", "correct it"]),
        (["root", "--n", "1", "--n", "2"], ["--n takes int, and was given 2 times"]),
        (["root", "--n", "1", "--project"], ["--project needs a value"]),
        (["greet", "--name=x", "--no-loud=1"], ["--no-loud takes no value; write --loud=1"]),
        (["greet", "--name=x", "--loud=maybe"], ["--loud takes bool, not 'maybe'"]),
        (["every_type", "--few", "10"], ["--few takes", "not '10'"]),
        (["every_type", "--point", "{x: a}"], ["Point | None, not ", "$.x"]),
        (["every_type", "--point", "{x: "], ["--point", "does not end as it begins"]),
        (["every_type", "--items", "1", "--items", "b"], ["--items takes int, not 'b'"]),
        (["every_type", "--two", "1"], ["--two takes tuple[int, str], not '1'"]),
        (["every_type", "--sizes", "a"], ["--sizes takes KEY=VALUE", "not 'a'"]),
        (["every_type", "--other", "1j"], ["complex can't be written on a command line"]),
        (["stars", "--first=1", "--pairs", "a"], ["--pairs takes KEY=VALUE"]),
        (["rot", "--n", "1"], ["has no task or workflow 'rot'; did you mean 'root'?"]),
        (["number"], ["number in flags_under_test.py is of type int, neither"]),
        (["--n", "1", "root"], ["Unknown option: --n", "see: trouper run --help"]),
        (["root", "--n=1", "--name", "../x"], ["name can't be '../x'"]),
        (["root", "--n=1", "--mode", "bogus"], ["mode can't be 'bogus'; choose one of: local"]),
        (["root", "--n=1", "--label", "x"], ["--label 'x' has no key or no '='"]),
        (["root", "--n=1", "--env", "=x"], ["--env '=x' has no key or no '='"]),
        (["root", "--n=1", "--label=a=1", "--label=a=2"], ["--label has 'a' twice"]),
        (["root", "--n=1", "--log-level", "LOUD"], ["--log-level can't be 'LOUD'"]),
        (["root", "--n=1", "--for", "3"], ["--for has an effect on workflows only"]),
        (["root", "--n=1", "--dead-letters", "f"], ["--dead-letters has an effect on workflows"]),
    ],
)
def test_bad_words_get_one_message_with_the_fix(
    trouper_command: Call, path: Path, words: list[str], parts: list[str]
) -> None:
    code, out, err = trouper_command("run", path.name, *words)
    assert (code, out) == (2, ""), out + err
    assert not [part for part in parts if part not in err], err
    assert "Traceback" not in err


def test_a_file_of_tasks_says_how_to_run_one(trouper_command: Call, tmp_path: Path) -> None:
    text = "import trouper\nenv = trouper.TaskEnvironment('e')\n@env.task\ndef only(): pass\n"
    path = write(tmp_path, text)
    code, _, err = trouper_command("run", path)
    assert code == 2
    assert err == f"trouper: say which task, behind the file: trouper run {path} only\n"
    many = "".join(f"@env.task\ndef t{number}(): pass\n" for number in range(9))
    _, _, err = trouper_command("run", write(tmp_path, text + many))
    assert err.endswith("t3, ...\n")


def test_help_tells_the_tasks_flags(trouper_command: Call, path: Path) -> None:
    code, out, _ = trouper_command("run", path.name, "greet", "--help")
    assert code == 0
    assert out.startswith("Usage: trouper run [OPTIONS] flags_under_test.py greet [FLAGS]\n")
    assert "  --name             STR         required\n" in out
    assert "  --loud, --no-loud              default False\n" in out
    assert "  --max-items        INT | NONE  default 3\n" in out
    assert "Double a number." in trouper_command("run", path, "root", "-h")[1]
    assert "prints has no flags" not in trouper_command("run", path, "prints", "-h")[1]
    assert "who has no flags." in trouper_command("run", path, "who", "--help")[1]
    assert "may be given several times" in trouper_command("run", path, "stars", "--help")[1]
    assert "--raw-data-path" in trouper_command("run", "--help")[1]


def test_a_failure_tells_where(trouper_command: Call, path: Path) -> None:
    """Known faults F12 and F35: the user's exception and line, and exit code 1."""
    code, out, _ = trouper_command("run", path, "other-name")
    assert code == 1
    assert "what failed other-name\n" in out
    assert r"ValueError: \x1b[2J[red]no" in out
    assert f"at {path}:" in out
    assert "\x1b" not in out
    assert "runtime/tasks" not in out
    code, out, _ = trouper_command("run", path, "in_vain")
    assert code == 1
    assert "3 attempts" in out


def test_a_task_that_exits_is_reported(trouper_command: Call, path: Path) -> None:
    code, out, _ = trouper_command("run", path, "exits")
    assert code == 1
    assert "of exits: cancelled after" in out


def test_json_and_nothing_else_goes_to_stdout(path: Path) -> None:
    for words in (["--json", path, "prints"], [path, "who", "--json"]):
        done = run_process("run", *words)
        report = json.loads(done.stdout)
        assert (done.returncode, report["exit_code"], report["phase"]) == (0, 0, "completed")
        assert "started" in done.stderr
    done = run_process("run", "--json", path, "prints", "--json", "mine")
    assert "in the body" in done.stderr
    made = json.loads(done.stdout)["outputs"]["o0"]
    assert made[0].startswith("<object object")
    assert made[1:] == [None, "mine"]


def test_a_tasks_own_flag_json_leaves_stdout_alone(path: Path) -> None:
    done = run_process("run", path, "prints", "--json", "mine")
    assert "in the body" in done.stdout
    assert "o0 = [" in done.stdout


def test_json_tells_actions_and_failure(trouper_command: Call, path: Path) -> None:
    code, out, _ = trouper_command("run", "--json", path, "calls", "--n", "2")
    report = json.loads(out)
    assert code == 0
    assert report["inputs"] == {"n": 2}
    found = [(each["name"], each["parent"], each["phase"]) for each in report["actions"]]
    assert found == [
        ("calls", None, "completed"),
        ("calls/process-1", "calls", "completed"),
        ("calls/process-2", "calls", "completed"),
        ("calls/other-name-1", "calls", "failed"),
    ]
    assert [each["group"] for each in report["actions"]] == [None, "many", "many", None]
    _, out, _ = trouper_command("run", "--json", path, "other-name")
    error = json.loads(out)["error"]
    assert (error["code"], error["action"], error["type"]) == (
        "ValueError",
        "other-name",
        "ValueError",
    )


def test_what_has_no_room_is_counted(trouper_command: Call, path: Path) -> None:
    code, out, _ = trouper_command("run", path, "calls", "--n", "300")
    assert code == 0
    assert "other-name-1  failed" in out
    assert "calls completed" in out
    assert len(out.splitlines()) < 120


def test_a_run_in_a_process_of_its_own(path: Path) -> None:
    words = ["--isolate", "process", "--env", "REGION=north", "--json"]
    done = run_process("run", *words, path, "region")
    report = json.loads(done.stdout)
    assert (done.returncode, report["phase"]) == (0, "completed")
    assert "in the body" in done.stderr
    region, process = report["outputs"]["o0"]
    assert region == "north"
    assert process not in (os.getpid(), None)
    assert [each["name"] for each in report["actions"]] == ["region"]


def test_a_dry_run_runs_nothing(trouper_command: Call, path: Path) -> None:
    code, out, err = trouper_command("run", "--dry-run", "--json", path, "other-name")
    assert code == 0, err
    report = json.loads(out)
    assert report["dry_run"]
    assert report["outputs"]["bundle"]["version"]
    assert [each["phase"] for each in report["actions"]] == ["waiting"]


def test_a_dry_run_neither_starts_nor_completes(trouper_command: Call, path: Path) -> None:
    words = ["run", "--dry-run", "--name", "r", "--version", "v1", path, "other-name"]
    code, out, err = trouper_command(*words, "--raw-data-path", "raw")
    told = out.splitlines()
    assert (code, err) == (0, "")
    assert told[0].startswith(
        "dry run: nothing was executed; would run task 'other-name' as run 'r'"
    )
    assert told[-1].startswith("bundle of version v1: file://")
    assert "started" not in out
    assert "completed" not in out
    Path("file").touch()
    code, out, _ = trouper_command(*words, "--raw-data-path", "file")
    assert code == 1
    assert out.startswith(
        "dry run of other-name: nothing was executed, and no bundle was made\n  [Err"
    )


def test_parameters_of_the_run_reach_the_task(trouper_command: Call, path: Path) -> None:
    words = ["--project", "p", "--domain", "d", "--version", "v1", "--raw-data-path", "raw"]
    more = ["--run-base-dir", "base", "--custom-context", "a=b", "--disable-run-cache"]
    assert outputs(trouper_command, *words, *more, path, "who") == [
        *("p", "d", "v1", {"a": "b"}, "raw", "base", True),
    ]
