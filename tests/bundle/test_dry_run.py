"""`dry_run` and `copy_bundle_to`: nothing is executed, the bundle is where it belongs."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
import trio

import trouper
from harness.projects import imported, make_files
from trouper.runtime.bundle._upload import BundleReport

PROGRAM = """
import trouper

env = trouper.TaskEnvironment("shop")
executed = []


@env.task
async def root(n: int, password: object = None) -> int:
    executed.append(n)
    return n


wf = trouper.Workflow("graph")


@wf.task
async def node() -> int:
    executed.append("node")
    return 1
"""


@pytest.fixture
def program(tmp_path: Path) -> Any:
    make_files(tmp_path, {"pyproject.toml": "", "shop_jobs.py": PROGRAM, "data.txt": "text"})
    with imported(tmp_path, "shop_jobs") as (module,):
        yield module


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def names_in(path: Path) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
        return tar.getnames()


def written(raw: Path) -> list[str]:
    return [each.name for each in raw.rglob("*") if each.is_file()]


def report_of(run: trouper.Run) -> BundleReport:
    report = run.outputs()[0]
    assert isinstance(report, BundleReport)
    return report


def test_nothing_is_executed_and_the_bundle_is_uploaded(
    program: Any, raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F30: it executed."""
    runner = trouper.with_runcontext(dry_run=True, raw_data_path=str(raw), name="r", project="p")
    run = runner.run(program.root, 21)
    assert program.executed == []
    report = report_of(run)
    path = raw / "bundles" / f"{report.version}.tar.gz"
    assert [*raw.rglob("*.gz")] == [path]
    assert names_in(path) == [".trouper-bundle/manifest.json", "shop_jobs.py"]
    assert (report.uri, report.size) == (path.as_uri(), path.stat().st_size)
    assert report.files == ("shop_jobs.py",)
    assert run.outputs().bundle is report
    assert capsys.readouterr().err.splitlines() == [
        "dry run: nothing was executed; would run task 'root' as run 'r', mode local, project p",
        "  n = 21",
        "  password = None",
        f"bundle of version {report.version}: {path.as_uri()} (1 file, {report.size} bytes)",
    ]


def test_the_version_is_that_of_a_real_run(program: Any, raw: Path) -> None:
    seen = trouper.TaskEnvironment("seen")

    def version() -> str:
        context = trouper.ctx()
        assert context is not None
        return context.version

    version.__code__ = version.__code__.replace(co_filename=program.__file__)
    task = seen.task(version)
    (real,) = trouper.with_runcontext().run(task).outputs()
    dry = trouper.with_runcontext(dry_run=True, raw_data_path=str(raw)).run(program.root, 1)
    assert report_of(dry).version == real


def test_a_given_version_names_the_bundle(program: Any, raw: Path) -> None:
    run = trouper.with_runcontext(
        dry_run=True, raw_data_path=str(raw), version="v7", copy_style="all"
    )
    report = report_of(run.run(program.root, 1))
    assert report.version == "v7"
    assert "data.txt" in names_in(raw / "bundles" / "v7.tar.gz")


@pytest.mark.parametrize("version", ["../../x", "", "a/b", "-x", "a" * 129])
def test_a_version_that_is_no_name_of_a_file_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match="version can't be"):
        trouper.with_runcontext(version=version)


def test_the_default_place_is_the_workspace(program: Any, tmp_path: Path) -> None:
    trouper.init(storage={"root": str(tmp_path / "home")})
    report = report_of(trouper.with_runcontext(dry_run=True).run(program.root, 1))
    assert [*(tmp_path / "home").rglob("*.gz")] == [
        tmp_path / "home" / "raw" / "bundles" / f"{report.version}.tar.gz"
    ]


@pytest.mark.parametrize(
    ("to", "expected"), [("out.tgz", "out.tgz"), ("folder", "folder/v1.tar.gz"), ("a/b", "a/b")]
)
def test_the_copy_is_equal_to_the_bundle(
    program: Any, raw: Path, tmp_path: Path, to: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a path, or into a folder under its own name."""
    (tmp_path / "elsewhere" / "folder").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    runner = trouper.with_runcontext(
        dry_run=True, raw_data_path=str(raw), version="v1", copy_bundle_to=Path(to)
    )
    report = report_of(runner.run(program.root, 1))
    copied = tmp_path / "elsewhere" / expected
    assert report.copied_to == str(copied)
    assert copied.read_bytes() == (raw / "bundles" / "v1.tar.gz").read_bytes()


def test_a_dry_run_of_a_workflow_executes_no_node(program: Any, raw: Path) -> None:
    run = trouper.with_runcontext(dry_run=True, raw_data_path=str(raw)).run(program.wf)
    assert program.executed == []
    assert report_of(run).would_run.startswith("workflow 'graph' as run")
    with pytest.raises(ValueError, match=r"with_runcontext\(dry_run=True\).run\(graph\)"):
        trouper.init(run={"dry_run": True})
        trouper.run(program.wf)
    assert program.executed == []


def test_wrong_arguments_are_refused_all_the_same(program: Any, raw: Path) -> None:
    runner = trouper.with_runcontext(dry_run=True, raw_data_path=str(raw))
    with pytest.raises(TypeError, match="argument n of task 'root' takes int"):
        runner.run(program.root, "many")
    assert not raw.exists()


def test_it_is_not_recorded(program: Any, raw: Path, tmp_path: Path) -> None:
    runner = trouper.with_runcontext(dry_run=True, raw_data_path=str(raw), workspace=tmp_path / "w")
    run = runner.run(program.root, 1)
    assert not (tmp_path / "w").exists()
    assert run.actions().phase == "waiting"
    assert run.inputs() == {"n": 1, "password": None}


def test_secrets_are_not_told(program: Any, raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = trouper.Secret("swordfish")
    runner = trouper.with_runcontext(dry_run=True, raw_data_path=str(raw))
    report = report_of(runner.run(program.root, 1, password=[secret, secret.reveal()]))
    told = report.would_run + capsys.readouterr().err
    assert "password = [Secret('***'), '***']" in told
    assert "swordfish" not in told


def test_a_place_that_can_not_be_written_is_an_error(program: Any, tmp_path: Path) -> None:
    make_files(tmp_path, {"file": ""})
    runner = trouper.with_runcontext(dry_run=True, raw_data_path=str(tmp_path / "file"))
    with pytest.raises(OSError, match="file"):
        runner.run(program.root, 1)
    (tmp_path / "file").unlink()
    copied = trouper.with_runcontext(
        dry_run=True,
        raw_data_path=str(tmp_path / "raw"),
        copy_bundle_to=tmp_path / "data.txt" / "x",
    )
    with pytest.raises(OSError, match=r"data\.txt"):
        copied.run(program.root, 1)


def test_a_bundle_that_fails_leaves_nothing(program: Any, raw: Path, tmp_path: Path) -> None:
    """The file changes after it was looked at: nothing half-made is to be seen."""
    from trouper.runtime.bundle._code import Bundle

    original = Bundle.write

    def write(self: Bundle, out: Any) -> None:
        (tmp_path / "shop_jobs.py").write_text("changed")
        original(self, out)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bundle, "write", write)
        runner = trouper.with_runcontext(dry_run=True, raw_data_path=str(raw))
        with pytest.raises(trouper.BundleError, match="was changed while it was bundled"):
            runner.run(program.root, 1)
    assert written(raw) == []


def test_nothing_to_bundle_is_no_dry_run() -> None:
    with pytest.raises(ValueError, match="copy_style='none' makes none"):
        trouper.with_runcontext(dry_run=True, copy_style="none")
    with pytest.raises(ValueError, match="only with dry_run=True"):
        trouper.with_runcontext(copy_bundle_to=Path("x"))
    with pytest.raises(ValueError, match="copy_bundle_to can't be ''; write a folder or a file"):
        trouper.with_runcontext(dry_run=True, copy_bundle_to="")  # type: ignore[arg-type]  # a user


async def test_a_dry_run_that_is_aborted_makes_nothing(program: Any, raw: Path) -> None:
    runner = trouper.with_runcontext(dry_run=True, raw_data_path=str(raw))
    run = runner.prepare(program.root, (1,), {})
    run.abort("changed my mind")
    await run.go()
    assert run.phase == "cancelled"
    assert written(raw) == []


async def test_it_can_be_awaited(program: Any, raw: Path) -> None:
    run = await trouper.with_runcontext(dry_run=True, raw_data_path=str(raw)).run.aio(
        program.root, 1
    )
    assert program.executed == []
    assert written(raw) == [f"{report_of(run).version}.tar.gz"]


def test_the_command_does_it_too(
    program: Any, raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trouper.runtime.cli import main

    words = ["run", str(tmp_path / "shop_jobs.py"), "root", "--n", "3", "--dry-run"]
    assert main([*words, "--raw-data-path", str(raw), "--version", "v1"]) == 0
    assert names_in(raw / "bundles" / "v1.tar.gz") == [
        ".trouper-bundle/manifest.json",
        "shop_jobs.py",
    ]
    assert program.executed == []
    shown = capsys.readouterr()
    assert "dry run: nothing was executed; would run task 'root'" in shown.out + shown.err


def test_the_command_does_it_to_a_workflow(
    program: Any, raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where a configuration says so."""
    from trouper.runtime.cli import main

    file, place = str(tmp_path / "shop_jobs.py"), ["--raw-data-path", str(raw)]
    assert main(["run", file, "wf", "--dry-run", *place, "--version", "v1"]) == 0
    make_files(tmp_path, {"dry.yaml": "run: {dry_run: true}\n"})
    words = ["run", "--settings", str(tmp_path / "dry.yaml"), file, "wf", *place]
    assert main([*words, "--version", "v2"]) == 0
    assert sorted(written(raw)) == ["v1.tar.gz", "v2.tar.gz"]
    assert program.executed == []
    assert "would run workflow 'graph'" in capsys.readouterr().out


async def test_it_tells_of_the_run_that_it_stands_for(program: Any, raw: Path) -> None:
    run = trouper.with_runcontext(dry_run=True, raw_data_path=str(raw)).prepare(
        program.root, (1,), {}
    )
    assert run.work.source() == {"file": program.__file__}
    assert run.work.config == {}
    assert list(run.work.look(1)) == []


async def test_an_interrupt_aborts_it(program: Any, raw: Path) -> None:
    run = trouper.with_runcontext(dry_run=True, raw_data_path=str(raw)).prepare(
        program.root, (1,), {}
    )
    interrupt, interrupts = trio.open_memory_channel[int](1)
    interrupt.send_nowait(1)
    interrupt.close()
    await run.work.obey(run, interrupts)
    await run.go()
    assert (run.phase, run.interrupted, written(raw)) == ("cancelled", True, [])
