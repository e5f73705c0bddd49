"""The rules of the house: where code lives, what may import what, and what a wheel holds."""

import ast
import inspect
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import trouper

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("channels", "actors", "runtime")
MAY_IMPORT = {
    "channels": {"channels"},
    "actors": {"actors", "channels"},
    "runtime": {"runtime", "actors", "channels"},
}
PRAGMA = re.compile(r"  # (?:type|pyright): ignore(?:\[[^]]*\])?")
NOQA = re.compile(r" {2}# noqa(?:: [A-Z]+\d+(?:, ?[A-Z]+\d+)*)?")
WHY = re.compile(r"  # | - \w")
OUTSIDE = ("tests", "examples", "benchmarks", "docs", "tools")


def modules(*folders: str) -> list[str]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def parsed(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"), module)


def absolute_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def relative_imports(tree: ast.Module, module: str) -> Iterator[tuple[str, ...]]:
    """The dotted name, below `trouper`, of everything that `module` imports relatively."""
    package = Path(module).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            climbed = node.level - 1
            assert climbed <= len(package), f"{module}:{node.lineno} climbs out of trouper"
            base = package[: len(package) - climbed]
            base += tuple(node.module.split(".")) if node.module else ()
            yield from ((*base, alias.name) for alias in node.names)


def upward(tree: ast.Module, module: str) -> list[str]:
    allowed = MAY_IMPORT[module.split("/", 1)[0]]
    return [".".join(name) for name in relative_imports(tree, module) if name[0] not in allowed]


@pytest.mark.parametrize("layer", LAYERS)
def test_face_links_to_each_layer(layer: str) -> None:
    link = ROOT / "src" / "trouper" / layer
    assert link.is_symlink()
    assert link.readlink().as_posix() == f"../../{layer}"
    assert link.resolve() == ROOT / layer


def test_there_is_something_to_check() -> None:
    assert {f"{layer}/__init__.py" for layer in LAYERS} <= set(modules(*LAYERS))
    assert "tests/test_layout.py" in modules(*OUTSIDE)


@pytest.mark.parametrize("module", modules(*LAYERS))
def test_layers_import_one_another_only_relatively(module: str) -> None:
    ours = {"trouper", *LAYERS}
    assert not [name for name in absolute_imports(parsed(module)) if name.split(".")[0] in ours]


@pytest.mark.parametrize("module", modules(*LAYERS))
def test_no_layer_imports_upwards(module: str) -> None:
    assert not upward(parsed(module), module)


@pytest.mark.parametrize(
    ("module", "line", "found"),
    [
        ("channels/_a.py", "from ._b import c", []),
        ("channels/_a.py", "from ..actors._b import c", ["actors._b.c"]),
        ("channels/_a.py", "from .. import actors", ["actors"]),
        ("channels/deep/_a.py", "from ...runtime import b", ["runtime.b"]),
        ("actors/_a.py", "from ..channels import b", []),
        ("actors/_a.py", "from ..runtime import b", ["runtime.b"]),
        ("runtime/_a.py", "from ..actors import b", []),
        ("runtime/_a.py", "from .. import Actor", ["Actor"]),
    ],
)
def test_upward_imports_are_recognised(module: str, line: str, found: list[str]) -> None:
    assert upward(ast.parse(line), module) == found


@pytest.mark.parametrize("module", modules(*OUTSIDE))
def test_nobody_imports_a_layer_by_its_bare_name(module: str) -> None:
    assert not [name for name in absolute_imports(parsed(module)) if name.split(".")[0] in LAYERS]


@pytest.mark.parametrize("module", modules(*LAYERS))
def test_files_are_at_most_400_lines(module: str) -> None:
    assert len((ROOT / module).read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("module", modules(*LAYERS))
def test_functions_are_under_60_lines(module: str) -> None:
    functions = [
        node
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert not {name: length for name, length in lengths.items() if length >= 60}


def is_quiet(line: str) -> bool:
    return bool(PRAGMA.search(line) or NOQA.search(line))


def says_why(line: str) -> bool:
    _, _, comments = line.partition("  # ")
    return bool(WHY.search(NOQA.sub("", PRAGMA.sub("", f"  # {comments}"))))


def pragmas_without_reason(text: str) -> list[int]:
    """The lines that tell a checker to be quiet, and neither say why nor stand below it.

    The reason is a comment behind the pragma, or above it or a run of lines that have one each.
    """
    lines = text.splitlines()
    unreasoned: list[int] = []
    for number, line in enumerate(lines, 1):
        if is_quiet(line) and not says_why(line):
            above = number - 1
            while above and is_quiet(lines[above - 1]):
                above -= 1
            if not (above and lines[above - 1].lstrip().startswith("# ")):
                unreasoned.append(number)
    return unreasoned


@pytest.mark.parametrize(
    "module",
    # What is ignored in tests/typing is what is tested: mypy refuses an ignore without an error.
    [each for each in modules(*LAYERS, *OUTSIDE) if not each.startswith("tests/typing/")],
)
def test_pragmas_have_reasons(module: str) -> None:
    assert not pragmas_without_reason((ROOT / module).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (["x = y @type: ignore[misc]"], [1]),
        (["x = y @type: ignore"], [1]),
        (["x = y @type: ignore[misc] @it is an int"], []),
        (["x = y @pyright: ignore[a, b]"], [1]),
        (["x = y @type: ignore[misc] @pyright: ignore[a]"], [1]),
        (["x = y @type: ignore[misc] @noqa: E501, RUF100"], [1]),
        (["x = y @type: ignore[misc] @noqa: E501 @as users write it"], []),
        (["x = y @noqa: E501"], [1]),
        (["x = y - z @noqa: E501"], [1]),
        (["x = y @noqa: E501 @it is an address", "x = y @noqa: E501 - likewise"], []),
        (["# It is an int.", "x = y @type: ignore[misc]"], []),
        (["# Ints.", "x = y @type: ignore[misc]", "z = y @type: ignore[misc]"], []),
        (["# Ints.", "pass", "x = y @type: ignore[misc]"], [3]),
    ],
)
def test_pragmas_without_reasons_are_recognised(lines: list[str], wrong: list[int]) -> None:
    # Spelt with an @, or this very file would have the lines that it looks for.
    text = "\n".join(lines).replace(" @", "  # ")
    assert pragmas_without_reason(text) == wrong


def test_public_classes_say_that_they_are_of_trouper() -> None:
    public = {name: getattr(trouper, name) for name in dir(trouper) if not name.startswith("_")}
    assert {"Workflow", "Actor", "open_channel"} <= set(public)
    elsewhere = {
        name: value.__module__
        for name, value in public.items()
        if inspect.isclass(value) and value.__module__ != "trouper"
    }
    assert not elsewhere


def test_wheel_holds_the_three_layers_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    [wheel] = tmp_path.glob("trouper-*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    layers = {f"trouper/{module}" for module in modules(*LAYERS)}
    face = {f"trouper/{name}.py" for name in ("__init__", "__main__", "asgi", "errors", "io")}
    assert {name for name in held if name.endswith(".py")} == {*face, *layers}
    assert "trouper/py.typed" in held
    assert {name.split("/")[0] for name in held} == {"trouper"}
