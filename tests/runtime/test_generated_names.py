"""Names of runs that were given none: legal for every workflow, and different."""

import pytest

import trouper
from trouper.runtime._settings import generate_run_name

ODD = ["a" * 128, "_private", "-dash", "__", "9"]


@pytest.mark.parametrize("label", ODD)
async def test_every_workflow_can_be_executed_and_opened(label: str) -> None:
    """Names of workflows may be longer than a run's has room for, and begin with `_` or `-`."""
    wf = trouper.Workflow(label)
    wf.task(name="one")(lambda: 1)
    result = await wf.execute()
    assert result.unwrap() == {"one": 1}
    assert 1 <= len(result.run_name) <= 128
    async with trouper.open(wf) as run:
        assert (await run.wait()).outputs == {"one": 1}


def test_runs_that_begin_at_once_have_names_of_their_own() -> None:
    """F13: of 1,000 runs in a second, five were refused because of another one's name."""
    names = {generate_run_name("train") for _ in range(2_000)}
    assert len(names) == 2_000
    assert all(name.startswith("train-20") for name in names)
