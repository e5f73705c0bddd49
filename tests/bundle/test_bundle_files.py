"""Which files a bundle holds: of loaded modules, or all that .gitignore leaves."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.projects import imported, make_files
from trouper.runtime.bundle._code import Code
from trouper.runtime.bundle._hashes import Hashes
from trouper.runtime.bundle._manifest import BundleError, make_manifest
from trouper.runtime.bundle._recent import Recent
from trouper.runtime.bundle._root import file_of, root_of

TASKS = "import shop.prices\ndef body(): return shop.prices.PRICE\n"


def project(folder: Path, **more: str) -> Path:
    return make_files(
        folder,
        {
            "pyproject.toml": "",
            "jobs.py": TASKS,
            "shop/__init__.py": "",
            "shop/prices.py": "PRICE = 1\n",
            "shop/unused.py": "",
            "notes.txt": "text",
        },
    )


def names(code: Code) -> list[str]:
    return [each.name for each in code.bundle().manifest.files]


# -- where it begins ------------------------------------------------------------------------------


def test_the_root_is_the_nearest_folder_with_the_mark_of_a_project(tmp_path: Path) -> None:
    make_files(
        tmp_path, {"a/pyproject.toml": "", "a/src/pkg/__init__.py": "", "a/src/pkg/m.py": ""}
    )
    assert root_of(str(tmp_path / "a/src/pkg/m.py")) == tmp_path / "a"


def test_without_a_mark_it_is_the_folder_or_the_outermost_package(tmp_path: Path) -> None:
    make_files(tmp_path, {"b/one.py": "", "p/q/__init__.py": "", "p/q/r/__init__.py": ""})
    assert root_of(str(tmp_path / "b/one.py")) == tmp_path / "b"
    assert root_of(str(tmp_path / "p/q/r/m.py")) == tmp_path / "p"


def test_the_home_folder_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many keep their settings in a repository there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    make_files(tmp_path, {".git/HEAD": "", "scripts/job.py": ""})
    assert root_of(str(tmp_path / "scripts/job.py")) == tmp_path / "scripts"


def test_files_of_functions_classes_and_objects(tmp_path: Path) -> None:
    from functools import partial, wraps

    @wraps(names)
    def wrapped() -> None: ...

    here = os.path.abspath(__file__)
    assert file_of(names) == file_of(partial(names)) == file_of(wrapped) == here
    assert file_of(BundleError("x")) == file_of(BundleError) != here
    assert file_of(len) is None
    made: dict[str, Any] = {}
    exec("def typed(): ...", made)
    assert file_of(made["typed"]) is None


# -- loaded modules -------------------------------------------------------------------------------


def test_loaded_modules_are_those_of_the_project(tmp_path: Path) -> None:
    root = project(tmp_path)
    make_files(root, {"lib/site-packages/dep.py": "", "other.txt": ""})
    with imported(root, "jobs") as (jobs,):
        sys.path.insert(0, str(root / "lib/site-packages"))
        import dep  # type: ignore[import-not-found]  # made a line above

        sys.path.remove(str(root / "lib/site-packages"))
        assert dep.__file__
        assert names(Code("t", [jobs.body])) == ["jobs.py", "shop/__init__.py", "shop/prices.py"]


def test_a_module_that_is_loaded_later_belongs_to_later_bundles(tmp_path: Path) -> None:
    root = project(tmp_path)
    with imported(root, "jobs") as (jobs,):
        before = names(Code("t", [jobs.body]))
        with imported(root, "shop.unused"):
            during = names(Code("t", [jobs.body]))
        assert names(Code("t", [jobs.body])) == before
    assert set(during) - set(before) == {"shop/unused.py"}


def test_a_program_that_is_no_module_belongs_to_it(tmp_path: Path) -> None:
    make_files(tmp_path, {"program.py": "def body(): ...\n"})
    made: dict[str, Any] = {}
    exec(compile("def body(): ...", str(tmp_path / "program.py"), "exec"), made)
    assert names(Code("t", [made["body"]])) == ["program.py"]


def test_the_version_of_what_is_loaded_holds_for_as_long_as_looking_is_dear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that takes 1 s holds for 20 s; other files, and a dry run, are looked at at once."""
    clock = [100.0]
    hashed: list[str] = []
    original = Hashes.of

    def of(self: Hashes, path: str) -> tuple[bytes, int, bool]:
        hashed.append(path)
        clock[0] += 0.5
        return original(self, path)

    for module in ("_code", "_recent"):
        monkeypatch.setattr(f"trouper.runtime.bundle.{module}.monotonic", lambda: clock[0])
    monkeypatch.setattr("trouper.runtime.bundle._code.recent", Recent())
    monkeypatch.setattr("trouper.runtime.bundle._recent.MOST", 1)
    monkeypatch.setattr(Hashes, "of", of)
    make_files(tmp_path, {"one.py": "", "two.py": "def body(): ...\n"})
    with imported(tmp_path, "one", "two") as (_, two):
        first = Code("t", [two.body]).version
        assert len(hashed) == 2  # it took a second
        (tmp_path / "one.py").write_text("x = 1\n")
        clock[0] = 119.9
        assert Code("t", [two.body]).version == first
        assert len(hashed) == 2
        assert Code("t", [two.body]).bundle().manifest.content != first
        make_files(tmp_path, {"three.py": ""})
        with imported(tmp_path, "three"):
            assert Code("t", [two.body]).version != first
        clock[0] = 1000.0
        code = Code("t", [two.body])
        second = code.version
        assert second != first
        clock[0] = 2000.0
        (tmp_path / "one.py").write_text("x = 22\n")
        assert code.version == second  # of one run it is the same each time
        assert code.bundle().manifest.content == code.version != second


# -- all ------------------------------------------------------------------------------------------


def body_in(root: Path) -> Any:
    made: dict[str, Any] = {}
    exec(compile("def body(): ...", str(root / "job.py"), "exec"), made)
    return made["body"]


def all_names(root: Path, *without: Path) -> list[str]:
    make_files(root, {"job.py": ""})
    return names(Code("t", [body_in(root)], style="all", without=lambda: without))


def test_all_obeys_every_gitignore(tmp_path: Path) -> None:
    root = make_files(
        tmp_path,
        {
            ".git/HEAD": "",
            ".git/info/exclude": "mine.txt\n",
            ".gitignore": "*.log\nbuild/\n/top.txt\n!keep.log\n# comment\n",
            "a.log": "",
            "keep.log": "",
            "mine.txt": "",
            "top.txt": "",
            "build/out.txt": "",
            "build/keep.log": "",
            "sub/.gitignore": "!a.log\ndata\n",
            "sub/a.log": "",
            "sub/b.log": "",
            "sub/top.txt": "",
            "sub/data/x.csv": "",
            "sub/deep/data": "",
        },
    )
    assert all_names(root) == [
        ".gitignore",
        "job.py",
        "keep.log",
        "sub/.gitignore",
        "sub/a.log",
        "sub/top.txt",
    ]


def test_a_project_inside_of_a_repository_obeys_the_files_above(tmp_path: Path) -> None:
    make_files(tmp_path, {".git/HEAD": "", ".gitignore": "*.csv\n", "p/pyproject.toml": ""})
    root = make_files(tmp_path / "p", {"x.csv": "", "q/.gitignore": "!y.csv\n", "q/y.csv": ""})
    assert all_names(root) == ["job.py", "pyproject.toml", "q/.gitignore", "q/y.csv"]


@pytest.mark.parametrize(
    "name",
    [
        *(".git/config", ".env", ".env.local", "prod.env", "deep/.ENV", ".ssh/config", ".aws/x"),
        *("server.pem", "Server.KEY", "id_rsa", "id_ed25519.pub", ".netrc", ".npmrc", "a.p12"),
        *(".trouper/trouper.db", "pkg/__pycache__/m.pyc", "credentials.json"),
    ],
)
def test_secrets_are_never_in_it(tmp_path: Path, name: str) -> None:
    """Also when .gitignore says that they belong to the repository."""
    make_files(tmp_path, {"pyproject.toml": "", ".gitignore": f"!{name}\n", name: "secret"})
    assert all_names(tmp_path) == [".gitignore", "job.py", "pyproject.toml"]


def test_environments_and_what_runs_have_made_are_not_in_it(tmp_path: Path) -> None:
    root = make_files(tmp_path, {"env/pyvenv.cfg": "", "env/lib/x.py": "", "raw/data.bin": ""})
    assert all_names(root, root / "raw") == ["job.py"]


def test_links_that_lead_out_are_not_in_it(tmp_path: Path) -> None:
    """Nor those to what may not be in it, to folders, and to nothing."""
    make_files(tmp_path, {"outside.txt": "secret", "p/inside.txt": "ok", "p/.env": "secret"})
    root = make_files(tmp_path / "p", {"pyproject.toml": "", ".ssh/plain": "secret", "d/x": ""})
    for name, target in {
        "out": "../outside.txt",
        "in": "inside.txt",
        "env": ".env",
        "key": ".ssh/plain",
        "folder": "d",
        "nothing": "missing",
    }.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe")
    assert all_names(root) == ["d/x", "in", "inside.txt", "job.py", "pyproject.toml"]


def test_a_folder_that_can_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scandir(path: str) -> Any:
        raise PermissionError(13, "Permission denied", path)

    make_files(tmp_path, {"job.py": ""})
    monkeypatch.setattr("trouper.runtime.bundle._files.os.scandir", scandir)
    with pytest.raises(BundleError, match=f"{tmp_path} can't be read for the bundle"):
        all_names(tmp_path)


# -- bounds ---------------------------------------------------------------------------------------


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trouper.runtime.bundle._manifest.MOST_FILES", 1)
    with pytest.raises(BundleError, match="would hold 2 files, and at most 1 are allowed"):
        make_manifest("all", "t", {"a": "/p/a", "b": "/p/b"})


def test_too_many_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path, {"a": "12345"})
    monkeypatch.setattr("trouper.runtime.bundle._manifest.MOST_BYTES", 4)
    with pytest.raises(BundleError, match=r"5 bytes, and at most 4 .* copy_style='loaded_modules'"):
        make_manifest("all", "t", {"a": str(tmp_path / "a")})


def test_a_file_that_is_gone_is_named() -> None:
    with pytest.raises(BundleError, match="/no/where can't be read for the bundle"):
        make_manifest("all", "t", {"a": "/no/where"})
