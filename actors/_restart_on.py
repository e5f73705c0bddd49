"""Which failures are answered by what: the `restart_on` of a node. Nothing waits here."""

from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any, Final, Literal, TypeGuard, cast, get_args

from attrs import frozen

from ._failure import shown

Answer = Literal["restart", "resume", "stop", "escalate"]
"""Start again; go on with the next message; end as by a normal end; give up at once."""

ANSWERS: Final[tuple[Answer, ...]] = get_args(Answer)
_BY_SEVERITY: Final[tuple[Answer, ...]] = ("resume", "restart", "stop", "escalate")

RestartOn = (
    type[Exception]
    | tuple[type[Exception], ...]
    | Mapping[type[Exception], Answer]
    | Callable[[Exception], Any]
)
"""Types that are restarted, a predicate, or a mapping from type to answer."""


@frozen
class Verdict:
    """What to do about one failure."""

    answer: Answer
    reason: str = ""
    """Why it is given up, in words; "" if it is not."""


RESTART: Final = Verdict("restart")


@frozen
class RestartRule:
    """A checked `restart_on`."""

    answers: Mapping[type[Exception], Answer] | None
    predicate: Callable[[Exception], Any] | None = None

    def judge(self, error: Exception) -> Verdict:
        """Return what to do about a failure. A type that is not named is given up at once."""
        if self.predicate is not None:
            return _ask(self.predicate, error)
        assert self.answers is not None
        answer = _look_up(self.answers, error)
        if answer == "escalate":
            return Verdict("escalate", "restart_on says: escalate")
        if answer is None:
            name = type(error).__qualname__
            return Verdict("escalate", f"its restart_on does not name {name}: given up at once")
        return Verdict(answer)


def make_rule(value: object, owner: str) -> RestartRule:
    """Return the rule that was given as `restart_on`.

    Raises:
        TypeError, ValueError: it is none; the text names the fix.
    """
    if isinstance(value, Mapping):
        answers = dict(cast("Mapping[Any, Answer]", value))
        for kind, answer in answers.items():
            _check_type(kind, owner)
            if answer not in ANSWERS:
                raise ValueError(
                    f"restart_on of {owner} can't answer {kind.__qualname__} by {answer!r}; "
                    f"choose one of: {', '.join(ANSWERS)}"
                )
        if not answers:
            raise ValueError(f"restart_on of {owner} is empty; name an exception, or leave it out")
        return RestartRule(answers)
    if isinstance(value, tuple | type):
        kinds = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        for kind in kinds:
            _check_type(kind, owner)
        return make_rule(dict.fromkeys(kinds, "restart"), owner)
    if iscoroutinefunction(value):
        raise TypeError(f"restart_on of {owner} takes a plain function, not an async one")
    if not callable(value):
        raise TypeError(
            f"restart_on of {owner} takes exception types, a function of the exception, or a "
            f"mapping from type to one of {', '.join(ANSWERS)}; got {value!r}"
        )
    return RestartRule(None, value)


def _check_type(kind: object, owner: str) -> None:
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise TypeError(
            f"restart_on of {owner} takes subclasses of Exception, got {kind!r} "
            "(what is none, as KeyboardInterrupt, passes)"
        )


def _look_up(answers: Mapping[type[Exception], Answer], error: BaseException) -> Answer | None:
    """Return the answer to the nearest class; of a group, the most severe one to its leaves."""
    if not _is_group(error) or any(issubclass(c, BaseExceptionGroup) for c in answers):
        return next((answers[c] for c in type(error).__mro__ if c in answers), None)
    found = [_look_up(answers, each) for each in error.exceptions]
    if None in found:
        return None
    return next(each for each in reversed(_BY_SEVERITY) if each in found)


def _is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    return isinstance(error, BaseExceptionGroup)


def _ask(predicate: Callable[[Exception], Any], error: Exception) -> Verdict:
    """Ask the user's function; what it does wrong must not hide the failure itself."""
    name = getattr(predicate, "__qualname__", repr(predicate))
    try:
        said = predicate(error)
    except Exception as problem:
        return Verdict("escalate", f"its restart_on, {name}, raised {shown(problem)}")
    if said is True:
        return RESTART
    if said is False:
        return Verdict("escalate", f"its restart_on, {name}, says no: given up at once")
    if said == "escalate":
        return Verdict("escalate", f"its restart_on, {name}, says: escalate")
    if isinstance(said, str) and said in ANSWERS:
        return Verdict(said)
    legal = ", ".join(ANSWERS)
    return Verdict(
        "escalate",
        f"its restart_on, {name}, returned {said!r}; it takes True, False or one of: {legal}",
    )
