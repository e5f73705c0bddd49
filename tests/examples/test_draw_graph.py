"""The picture in the README is the program's own."""

import importlib.util
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.programs import EXAMPLES, load_program

ROOT = EXAMPLES.parent
PICTURE = ROOT / "docs" / "images" / "system_monitor.svg"


def load_tool() -> Any:
    spec = importlib.util.spec_from_file_location("draw_graph", ROOT / "tools" / "draw_graph.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


draw_graph = load_tool()


def titles(svg: str) -> list[str]:
    return [
        each.text or "" for each in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")
    ]


def test_the_picture_shows_the_graph_that_the_program_has_now() -> None:
    now = draw_graph.draw(load_program("system_monitor").wf)
    assert titles(PICTURE.read_text(encoding="utf-8")) == titles(now)
    assert "anomalies.alerts -> sink" in titles(now)


def test_the_picture_needs_nothing_from_elsewhere() -> None:
    svg = PICTURE.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not [word for word in ("http", "href", "url(", "<script", "@import") if word in svg]


def test_the_picture_was_taken_of_a_run() -> None:
    svg = PICTURE.read_text(encoding="utf-8")
    for counter in ("running, restarted ", " sent, ", " given up", "/s, out "):
        assert counter in svg


def test_every_node_has_a_place_of_its_own_and_edges_lead_to_the_right() -> None:
    workflow = trouper.Workflow("wide")

    async def relay(ctx: trouper.ActorContext[None, None, int]) -> None:
        async for message in ctx:
            await ctx.send(message)

    for number in range(12):
        above = {0: [], 1: [], 2: ["n0"]}.get(number, [f"n{number // 2}", f"n{number // 3}"])
        workflow.actor(name=f"n{number}", depends_on=dict.fromkeys(above, trouper.Edge()))(relay)
    layout = draw_graph.Layout(workflow)
    places = [(spot.x, spot.y) for layer in layout.layers for spot in layer]
    assert len(set(places)) == len(places) > 12
    assert len(layout.routes) == sum(len(node.upstreams) for node in workflow.nodes.values())
    for route in layout.routes.values():
        assert [spot.layer for spot in route] == list(range(route[0].layer, route[-1].layer + 1))


def test_the_tool_runs_a_program_and_writes_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    program, picture = tmp_path / "drawn_program.py", tmp_path / "drawn.svg"
    program.write_text(
        "import trouper\n"
        'wf = trouper.Workflow("drawn")\n'
        "@wf.actor\n"
        "async def tick(ctx):\n"
        "    async for _ in ctx.every(0.01):\n"
        "        yield ctx.config['word']\n"
    )
    draw_graph.main(str(program), str(picture), "0.1", "word=1")
    svg = picture.read_text(encoding="utf-8")
    assert titles(svg) == ["tick"]
    assert ">in 0.0/s, out " in svg
