"""The seed's `Monitor`, letter by letter, in a program that runs."""

from pathlib import Path

import trouper
from harness.programs import EXAMPLES, run_program

SEED = """\
class Monitor(Actor):
    async def run(self, ctx: ActorContext):
        while True:
            message = await ctx.receive()
            processed = transform(message)
            await ctx.send(processed)
            yield processed
"""


def test_monitor_is_written_as_on_the_page() -> None:
    assert SEED in (EXAMPLES / "workflow" / "monitor.py").read_text(encoding="utf-8")


def test_monitor_runs_and_each_message_comes_once(tmp_path: Path) -> None:
    """F1: on the page's own revision any streaming actor fails with TypeError."""
    ended = run_program("workflow/monitor.py", cwd=tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == (b"1\n4\n9\n", b"", 0)


def test_its_yield_is_counted_as_repeating_its_send() -> None:
    namespace: dict[str, object] = {"__name__": "monitor_example"}
    exec((EXAMPLES / "workflow" / "monitor.py").read_text(encoding="utf-8"), namespace)
    workflow = namespace["wf"]
    assert isinstance(workflow, trouper.Workflow)
    result = trouper.run(workflow)
    assert result.outputs["show"] == [1, 4, 9]
    assert result.nodes["monitor"].repeated == 3
