"""`restart_on`: which failure is answered by what."""

from typing import Any

import pytest

from trouper.actors._restart_on import RESTART, Verdict, make_rule

OWNER = "'worker'"


def answer(rule: Any, error: Exception) -> str:
    return make_rule(rule, OWNER).judge(error).answer


def test_types_that_are_named_are_restarted_and_others_given_up() -> None:
    """P4."""
    assert answer(OSError, ConnectionError()) == "restart"
    assert answer((OSError, ValueError), ValueError()) == "restart"
    verdict = make_rule(OSError, OWNER).judge(KeyError("k"))
    assert verdict == Verdict("escalate", "its restart_on does not name KeyError: given up at once")


def test_the_nearest_class_of_a_mapping_answers_in_whatever_order_it_stands() -> None:
    for pairs in (
        {OSError: "stop", ConnectionError: "resume", Exception: "restart"},
        {Exception: "restart", ConnectionError: "resume", OSError: "stop"},
    ):
        assert answer(pairs, ConnectionResetError()) == "resume"
        assert answer(pairs, FileNotFoundError()) == "stop"
        assert answer(pairs, KeyError()) == "restart"
    verdict = make_rule({OSError: "escalate"}, OWNER).judge(OSError())
    assert verdict == Verdict("escalate", "restart_on says: escalate")


def test_of_a_group_of_exceptions_the_most_severe_answer_to_its_leaves_counts() -> None:
    rule = {OSError: "restart", ValueError: "resume", KeyError: "stop"}
    inner = ExceptionGroup("inner", [ValueError(), OSError()])
    assert answer(rule, ExceptionGroup("one", [ValueError()])) == "resume"
    assert answer(rule, ExceptionGroup("two", [ValueError(), inner])) == "restart"
    assert answer(rule, ExceptionGroup("three", [inner, KeyError()])) == "stop"
    assert answer(rule, ExceptionGroup("four", [inner, TypeError()])) == "escalate"
    assert answer({ExceptionGroup: "resume"}, ExceptionGroup("five", [TypeError()])) == "resume"


@pytest.mark.parametrize("said", ["restart", "resume", "stop", "escalate"])
def test_a_predicate_may_answer_in_words(said: str) -> None:
    assert answer(lambda error: said, ValueError()) == said


def test_a_predicate_may_answer_yes_or_no() -> None:
    """P4: no means at once."""

    def is_temporary(error: Exception) -> bool:
        return isinstance(error, OSError)

    rule = make_rule(is_temporary, OWNER)
    assert rule.judge(OSError()) is RESTART
    verdict = rule.judge(ValueError())
    assert verdict.answer == "escalate"
    assert "is_temporary, says no: given up at once" in verdict.reason


def test_a_predicate_that_raises_or_returns_rubbish_is_contained_and_named() -> None:
    """P4, A1: the failure that was to be judged stays the one that counts."""

    def broken(error: Exception) -> bool:
        raise ZeroDivisionError("in the predicate")

    verdict = make_rule(broken, OWNER).judge(OSError())
    assert verdict.answer == "escalate"
    assert "broken, raised ZeroDivisionError('in the predicate')" in verdict.reason
    several: tuple[Any, ...] = (None, 1, "again", [], object)
    for rubbish in several:
        verdict = make_rule(lambda error, said=rubbish: said, OWNER).judge(OSError())
        assert verdict.answer == "escalate"
        assert f"returned {rubbish!r}; it takes True, False or one of: restart" in verdict.reason


def test_what_is_no_exception_of_a_predicate_passes() -> None:
    """P8."""

    def interrupted(error: Exception) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_rule(interrupted, OWNER).judge(OSError())


async def is_async(error: Exception) -> bool:
    return True


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        (3, TypeError, "restart_on of 'worker' takes exception types, a function"),
        ("OSError", TypeError, "got 'OSError'"),
        (KeyboardInterrupt, TypeError, "takes subclasses of Exception, got <class 'Keyb"),
        ((OSError, 3), TypeError, "takes subclasses of Exception, got 3"),
        ((OSError, []), TypeError, "takes subclasses of Exception, got []"),
        ({OSError: "retry"}, ValueError, "can't answer OSError by 'retry'; choose one of: restart"),
        ({"OSError": "stop"}, TypeError, "takes subclasses of Exception, got 'OSError'"),
        ({}, ValueError, "restart_on of 'worker' is empty"),
        ((), ValueError, "restart_on of 'worker' is empty"),
        (is_async, TypeError, "takes a plain function, not an async one"),
    ],
)
def test_a_bad_rule_is_refused_with_the_fix(given: Any, kind: type[Exception], text: str) -> None:
    """S13."""
    with pytest.raises(kind) as caught:
        make_rule(given, OWNER)
    assert text in str(caught.value)
