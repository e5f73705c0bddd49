"""A run's context is checked when it is made, and hooks are what they look like."""

from typing import Any

import pytest

import trouper
from trouper import ActorContext, RunContext, Workflow


@pytest.mark.parametrize("name", ["", "../../x", "a/b", ".hidden", "a b", "x" * 129, "a\n"])
def test_a_run_name_that_is_no_file_name_is_refused(name: str) -> None:
    """F31: such names wrote outside of the run folder."""
    with pytest.raises(ValueError, match="run_name can't be"):
        RunContext(run_name=name)


def test_an_unknown_mode_is_refused_and_names_the_legal_ones() -> None:
    """F31: `mode="bogus"` ran locally without a word."""
    with pytest.raises(ValueError, match=r"'bogus'.*local, remote, hybrid"):
        # The refusal is what is tested.
        RunContext(run_name="r", mode="bogus")  # type: ignore[arg-type]


async def test_a_mode_without_an_engine_is_refused() -> None:
    wf = Workflow("w")

    @wf.task
    async def one() -> int:
        return 1

    with pytest.raises(NotImplementedError, match=r"mode='remote'.*use mode='local'"):
        await wf.execute(run_context=RunContext(run_name="r", mode="remote"))
    assert (await wf.execute(run_context=RunContext(run_name="r"))).outputs == {"one": 1}


@pytest.mark.parametrize("pair", [("n", 3), (3, "n")])
def test_a_custom_context_of_other_than_str_names_key_and_value(
    pair: tuple[object, object],
) -> None:
    """F40"""
    with pytest.raises(TypeError, match=f"str to str, got {pair[0]!r}: {pair[1]!r}"):
        RunContext(run_name="r", custom_context=dict([pair]))  # type: ignore[list-item]  # likewise


def test_a_custom_context_that_is_no_mapping_is_named() -> None:
    """F40"""
    with pytest.raises(TypeError, match=r"takes a mapping from str to str, got \['n'\]"):
        RunContext(run_name="r", custom_context=["n"])  # type: ignore[arg-type]  # that is tested


class Plain:
    """Has attributes with the names of hooks that are none."""

    stop = 3

    def __init__(self) -> None:
        self.start = 0
        self.calls = 0

    def restarted(self) -> None:
        self.calls += 1

    async def run(self, ctx: ActorContext[None, None, int, int]) -> None:
        await ctx.send_many(n for n in range(3))


async def test_only_coroutine_functions_are_hooks() -> None:
    wf = Workflow("w")
    plain = wf.add(Plain())

    @wf.task(depends_on="plain", collect="all")
    async def every(plain: list[int]) -> list[int]:
        return plain

    result = await wf.execute()
    assert isinstance(result, trouper.WorkflowResult)
    assert result.outputs["every"] == [0, 1, 2]
    assert plain.calls == 0


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("config", "config= takes a mapping from str, got 7"),
        ("run_context", "run_context= takes a trouper.RunContext, got 7"),
        ("harness", "harness= takes a trouper.Harness, got 7"),
        ("profile_config", "a configuration is a mapping from str, got 7; write a dict"),
        ("run", r"run= takes a run, from experiment.run\(\), got 7"),
    ],
)
async def test_an_option_of_a_wrong_type_is_named(option: str, problem: str) -> None:
    wf = trouper.Workflow("typed")
    wf.task(name="one")(lambda: 1)
    options: Any = {option: 7}
    with pytest.raises(TypeError, match=problem):
        await wf.execute(**options)
    with pytest.raises(TypeError, match=problem):
        async with trouper.open(wf, **options):
            raise AssertionError("it was entered")
