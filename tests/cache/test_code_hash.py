"""The hash of a task's code: what counts, and what does not."""

import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.command import PATIENCE
from trouper.runtime.cache._code import hash_code, module_name, name_of

BEFORE = """
    import functools
    import helpers
    from dataclasses import dataclass

    FACTOR = 2
    TABLE = {"a": [1, 2]}
    HANDLERS = {}

    @dataclass
    class Box:
        size: int = 1

        @property
        def double(self):
            return self.size * 2

        @staticmethod
        def make():
            return Box(3)

    def helper(n):
        # a comment
        return n * FACTOR

    half = functools.partial(helper, 3)

    @functools.lru_cache
    def cached(n):
        return n + 1

    HANDLERS["one"] = helper

    def outer(k):
        def inner(n, *, more=4):
            return n + k + more
        return inner

    closed = outer(5)

    def other():
        return 1

    def task(n=7):
        '''Its text.'''
        if n in {"x", "y"}:
            return [helper(each) for each in TABLE["a"]]
        return Box(n).double + cached(n) + closed(n) + half() + helpers.used(n) + HANDLERS["one"](n)
"""
HELPERS = """
    LIMIT = 1

    def used(n):
        return below(n)

    def below(n):
        return n - LIMIT

    def unused():
        return 1
"""


def load(monkeypatch: pytest.MonkeyPatch, program: str = BEFORE, helpers: str = HELPERS) -> Any:
    """Make modules anew from text, as a process does that has just begun."""
    for name, text in (("helpers", helpers), ("program", program)):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(textwrap.dedent(text), f"{name}.py", "exec"), vars(module))
    return sys.modules["program"]


def hash_with(
    monkeypatch: pytest.MonkeyPatch, before: str = "", after: str = "", *, helpers: bool = False
) -> bytes:
    source = HELPERS if helpers else BEFORE
    assert before in source
    changed = source.replace(before, after, 1) if before else source
    texts = (BEFORE, changed) if helpers else (changed, HELPERS)
    return hash_code(load(monkeypatch, *texts).task)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# a comment", "# another one, and\n\n        # more lines"),
        ("def other():\n        return 1", "def other():\n        return 2"),
    ],
)
def test_what_changes_nothing_does_not_count(
    monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    """Comments, places, and what the task does not reach."""
    assert hash_with(monkeypatch) == hash_with(monkeypatch, before, after)
    assert hash_with(monkeypatch) == hash_with(
        monkeypatch, "def unused():\n        return 1", "", helpers=True
    )


@pytest.mark.parametrize(
    ("before", "after", "in_helpers"),
    [
        ("return n * FACTOR", "return n + FACTOR", False),
        ("FACTOR = 2", "FACTOR = 3", False),
        ("[1, 2]", "[1, 3]", False),
        ("self.size * 2", "self.size * 3", False),
        ("return Box(3)", "return Box(4)", False),
        ("size: int = 1", "size: int = 2", False),
        ("return n + 1", "return n + 2", False),
        ("more=4", "more=5", False),
        ("outer(5)", "outer(6)", False),
        ("n=7", "n=8", False),
        ('{"x", "y"}', '{"x", "z"}', False),
        ("partial(helper, 3)", "partial(helper, 4)", False),
        ('HANDLERS["one"] = helper', 'HANDLERS["one"] = cached', False),
        ("def below(n):\n        return n - LIMIT", "def below(n):\n        return LIMIT", True),
        ("LIMIT = 1", "LIMIT = 2", True),
    ],
)
def test_what_can_be_reached_by_name_counts(
    monkeypatch: pytest.MonkeyPatch, before: str, after: str, in_helpers: bool
) -> None:
    changed = hash_with(monkeypatch, before, after, helpers=in_helpers)
    assert changed != hash_with(monkeypatch)


def test_defaults_of_attrs_classes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(default: str) -> bytes:
        text = f"""
            import attrs

            @attrs.define
            class Box:
                size: int = attrs.field(default={default})

            def task():
                return Box()
        """
        return hash_code(load(monkeypatch, text).task)

    assert of("1") == of("1") != of("2")


def test_two_equal_values_are_not_taken_for_two_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that were seen before are told as values."""

    def of(values: str) -> bytes:
        text = f"A, B, C = {values}\ndef task():\n    return A, B, C\n"
        return hash_code(load(monkeypatch, text).task)

    assert len({of("3, 5, 3"), of("3, 5, 5"), of("[], [], 1"), of("[], (), 1")}) == 4


PROGRAM = """
    def task():
        import json
        from lib import tools
        from lib.deep import thing as it, nothing_of_this_name
        def inner():
            import lib.other
            import not_there.at_all
        return tools.use(it)
"""
LIBRARY = {
    "lib/__init__.py": "BASE = 1",
    "lib/tools.py": "from . import below\nimport json\ndef use(n):\n    return below.LIMIT + n\n",
    "lib/below.py": "LIMIT = 1",
    "lib/deep.py": "thing = 3\nraise SystemExit('imported')",
    "lib/other.py": "OTHER = 1",
    "lib/broken.py": "def",
    "lib/unused.py": "UNUSED = 1",
}


@pytest.mark.parametrize(
    ("file", "counts"),
    [(file, file != "lib/unused.py") for file in LIBRARY if file != "lib/broken.py"],
)
def test_modules_that_are_imported_while_it_runs_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, counts: bool
) -> None:
    """They, and what they import; and nothing is imported to find that out."""

    def of(name: str, **changed: str) -> bytes:
        folder = tmp_path / name
        (folder / "lib").mkdir(parents=True)
        for path, text in {**LIBRARY, **changed}.items():
            (folder / path).write_text(text, encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(folder)
            found = hash_code(load(patch, PROGRAM).task)
        assert not [each for each in sys.modules if each.partition(".")[0] == "lib"]
        return found

    assert of("one") == of("two")
    changed = of("three", **{file: LIBRARY[file].replace("1", "2").replace("3", "4") + "\nX = 5"})
    assert (changed != of("four")) is counts


def test_imports_that_lead_nowhere_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text("def", encoding="utf-8")
    (tmp_path / "plain_module.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    program = """
        def task():
            from ... import too_far
            import sys, broken_module, plain_module.below
    """
    assert hash_code(load(monkeypatch, program).task)


def test_it_is_the_same_in_every_process(tmp_path: Path) -> None:
    """Whatever the order in which this Python's sets come."""
    (tmp_path / "helpers.py").write_text(textwrap.dedent(HELPERS))
    (tmp_path / "program.py").write_text(
        textwrap.dedent(BEFORE)
        + textwrap.dedent("""
        from trouper.runtime.cache._code import hash_code
        if __name__ in ("__main__", "program"):
            print(hash_code(task).hex())
        """)
    )
    said = set[str]()
    for seed, words in (("1", ["program.py"]), ("2", ["program.py"]), ("3", ["-c", _IMPORT])):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": _paths()},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        said.add(done.stdout)
    assert len(said) == 1, said


_IMPORT = "import sys; sys.path.insert(0, ''); import program"


def _paths() -> str:
    import os

    import trouper

    return os.pathsep.join([str(Path(trouper.__file__).parents[1])])


def test_a_file_that_is_edited_meanwhile_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process goes on with the old code, and must not keep results as those of the new."""
    path = tmp_path / "edited_program.py"
    path.write_text("def task():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import edited_program  # type: ignore[import-not-found]  # written above

    before = hash_code(edited_program.task)
    path.write_text("def task():\n    return 2\n")
    assert hash_code(edited_program.task) == before
    del sys.modules["edited_program"]


def test_things_of_all_kinds_are_passed() -> None:
    import logging
    import threading
    from functools import cached_property

    class Proxy:
        """As those of web frameworks: nothing may be asked outside of a request."""

        def __getattribute__(self, name: str) -> Any:
            if name == "__class__":  # what collects garbage here asks for it
                return Proxy
            raise RuntimeError(f"outside of a request: {name}")

    proxy = Proxy()
    lock, log, unbound = threading.Lock(), logging.getLogger("x"), list[int]()

    class Thing:
        attribute = (1, [2])

        @cached_property
        def lazy(self) -> int:
            return 1

        @classmethod
        def make(cls) -> "Thing":
            return cls()

        def method(self) -> Any:
            return later

    thing = Thing()
    method = thing.method

    def task() -> Any:
        return lock, log, unbound, thing, method, later, proxy, stubborn

    stubborn: Any = object.__new__(type("Stubborn", (), {"__wrapped__": None}))
    assert len(hash_code(task)) == 16
    later = 3


def test_a_class_is_known_by_its_code() -> None:
    def make(size: int) -> type:
        class Local:
            def __len__(self) -> int:
                return size

        return Local

    assert name_of(make(1)) != name_of(make(2))
    assert name_of(int) == "builtins.int"
    assert name_of(Path) == f"{Path.__module__}.Path"  # another one in Python 3.13


def test_the_main_module_has_the_name_of_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert module_name("__main__") == "__main__"
    main.__file__ = "/somewhere/flow.py"
    assert module_name("__main__") == "flow"
    assert module_name("other") == "other"
