"""Draw a running graph as SVG: run a program for some seconds, with its counters on the picture.

    python tools/draw_graph.py examples/system_monitor.py PICTURE SECONDS [KEY=VALUE ...]

Nodes stand in layers, each right of all that feeds it; an edge that skips one has a place in it.
"""

import importlib
import sys
from collections.abc import Iterator
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import attrs
import trio

import trouper
from trouper.runtime.settings._profiles import Profiles

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 180, 62, 170, 28, 16
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f; text-anchor: middle }
.name { font-weight: 600; font-size: 14px }
.label { fill: #57606a; font-size: 11px; paint-order: stroke; stroke: #fff; stroke-width: 4px }
rect { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.2 }
path { fill: none; stroke: #8c959f; stroke-width: 1.5 }
"""


@attrs.define(eq=False)
class Spot:
    """A node, or the place where an edge passes a layer."""

    name: str
    layer: int
    y: float = 0.0
    before: list["Spot"] = attrs.field(factory=list["Spot"])

    @property
    def x(self) -> float:
        return MARGIN + self.layer * (WIDTH + GAP_X)


class Layout:
    """Where everything stands. Edges that close a cycle are left out."""

    def __init__(self, workflow: trouper.Workflow) -> None:
        self.nodes = workflow.nodes
        self.spots: dict[str, Spot] = {}
        self.routes: dict[str, list[Spot]] = {}
        deepest = max(self._spot_of(name).layer for name in self.nodes)
        self.layers: list[list[Spot]] = [[] for _ in range(deepest + 1)]
        for name in self.nodes:
            self.layers[self.spots[name].layer].append(self.spots[name])
        for name, node in self.nodes.items():
            for upstream in node.upstreams:
                if not upstream.edge.feedback:
                    output = "" if upstream.output is None else f".{upstream.output}"
                    self._add_route(f"{upstream.node}{output} -> {name}", upstream.node, name)
        self._arrange()

    def _spot_of(self, name: str) -> Spot:
        if name not in self.spots:
            feeders = [up.node for up in self.nodes[name].upstreams if not up.edge.feedback]
            layer = max((self._spot_of(each).layer + 1 for each in feeders), default=0)
            self.spots[name] = Spot(name, layer)
        return self.spots[name]

    def _add_route(self, title: str, source: str, target: str) -> None:
        start, end = self.spots[source], self.spots[target]
        passed = [Spot("", layer) for layer in range(start.layer + 1, end.layer)]
        for spot in passed:
            self.layers[spot.layer].append(spot)
        self.routes[title] = [start, *passed, end]
        for before, after in pairwise(self.routes[title]):
            after.before.append(before)

    def _arrange(self) -> None:
        """Give each spot its height: near the middle of what feeds it, but free."""
        step = HEIGHT + GAP_Y
        self.height = max(map(len, self.layers)) * step + 2 * MARGIN
        self.width = len(self.layers) * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN
        for layer in self.layers:
            layer.sort(key=lambda spot: fmean([each.y for each in spot.before] or [0.0]))
            top = (self.height - len(layer) * step) / 2
            for number, spot in enumerate(layer):
                spot.y = top + (number + 0.5) * step


def draw(workflow: trouper.Workflow, status: trouper.StatusReport | None = None) -> str:
    """Return the picture; without a status it has no counters."""
    layout = Layout(workflow)
    edges = {} if status is None else {f"{e.source} -> {e.target}": e for e in status.edges}
    size = f'width="{layout.width}" height="{layout.height}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">']
    parts += [f"<style>{STYLE}</style>", f'<rect {size} style="fill: #fff; stroke: none"/>']
    for title, route in layout.routes.items():
        parts += _draw_edge(title, route, edges.get(title))
    for name, spot in layout.spots.items():
        parts += _draw_node(spot, None if status is None else status.nodes[name])
    return "\n".join([*parts, "</svg>\n"])


def _draw_edge(title: str, route: list[Spot], edge: trouper.EdgeReport | None) -> Iterator[str]:
    yield f"<g><title>{escape(title)}</title>"
    for start, end in pairwise(route):
        x, middle = start.x + WIDTH, start.x + WIDTH + GAP_X / 2
        curve = f"M{x} {start.y} C{middle} {start.y} {middle} {end.y} {end.x} {end.y}"
        yield f'<path d="{curve}{"" if end.name else f" h{WIDTH}"}"/>'
    if edge is not None:
        given_up = edge.dead_lettered + sum(edge.dropped.values())
        text = f"{edge.sent:,} sent" + (f", {given_up:,} given up" if given_up else "")
        start, end = route[:2]
        # Near the start, 0.3 of the curve's way, where edges to one reader are still apart.
        at = f'x="{start.x + WIDTH + 0.34 * GAP_X:g}" y="{0.78 * start.y + 0.22 * end.y + 4:g}"'
        yield f'<text class="label" {at}>{text}</text>'
    yield "</g>"


def _draw_node(spot: Spot, node: trouper.NodeReport | None) -> Iterator[str]:
    middle, top = spot.x + WIDTH / 2, spot.y - HEIGHT / 2
    yield f"<g><title>{escape(spot.name)}</title>"
    yield f'<rect x="{spot.x}" y="{top}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
    texts = [f'class="name">{escape(spot.name)}']
    if node is not None:
        restarts = max(0, node.incarnation - 1)
        texts.append(f">{node.state}" + (f", restarted {restarts} x" if restarts else ""))
        rates = f">in {node.received_per_s:,.1f}/s, out {node.sent_per_s:,.1f}/s"
        texts += [rates] if node.kind == "actor" else []
    for number, text in enumerate(texts):
        yield f'<text x="{middle}" y="{top + 21 + 16 * number}" {text}</text>'
    yield "</g>"


def main(program: str, picture: str, seconds: str, *overrides: str) -> None:
    sys.path.insert(0, str(Path(program).parent))
    workflow: trouper.Workflow = importlib.import_module(Path(program).stem).wf
    looks: list[trouper.StatusReport] = []

    async def look_then_drain(run: trouper.LiveRun) -> None:
        try:
            await trio.sleep(float(seconds))
        finally:  # also when it ends before
            looks.append(run.status())
        await run.drain()

    config: trouper.ProfileConfig = Profiles([]).resolve(overrides=overrides)
    trouper.run(workflow, profile_config=config, on_start=look_then_drain)
    Path(picture).write_text(draw(workflow, looks[0]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
