"""The flags of a task, made from its signature, and the arguments that they give."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from .._annotations import show_type
from .._cli_problem import Problem
from .._cli_text import columns, plain, plain_lines, shown
from .._shape import Parameter
from .._signature import inspect_callable
from ..tasks._bound_task import BoundTask
from ._text_values import is_switch, read_pairs, read_value
from ._words import Given


@frozen
class Flag:
    """One parameter of a task, as a flag."""

    parameter: Parameter
    default: Any

    @property
    def name(self) -> str:
        return f"--{self.parameter.name.replace('_', '-')}"

    @property
    def spellings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.name, f"--{self.parameter.name}")))

    @property
    def is_switch(self) -> bool:
        return self.parameter.kind not in ("rest", "keywords") and is_switch(
            self.parameter.annotation
        )


class TaskFlags:
    """All flags of one task.

    Args:
        held: parameters that a partial around the task has given already.
    """

    def __init__(self, task: BoundTask[Any], held: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        self.task = task.name
        self.doc = inspect.getdoc(task.spec.function) or ""
        self._held_args, self._held = held
        self._signature = task.spec.binder.signature
        parameters = inspect_callable(task.spec.function).parameters
        self._flags = [
            Flag(each, self._signature.parameters[each.name].default)
            for each in parameters[len(self._held_args) :]
            if each.name not in self._held
        ]
        self._by_spelling = {name: each for each in self._flags for name in each.spellings}
        self._negatives = {
            f"--no-{name[2:]}": each
            for name, each in self._by_spelling.items()
            if each.is_switch and f"--no-{name[2:]}" not in self._by_spelling
        }

    @property
    def with_value(self) -> list[str]:
        """Flags behind which a value stands."""
        return [name for name, each in self._by_spelling.items() if not each.is_switch]

    @property
    def switches(self) -> list[str]:
        """Flags that need none."""
        bare = [name for name, each in self._by_spelling.items() if each.is_switch]
        return [*bare, *self._negatives]

    def arguments(self, given: Sequence[Given]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments, converted; the partial's own are not among them.

        Raises:
            Problem: one is missing, is there twice, or is not of its type.
        """
        texts: dict[str, list[str]] = {}
        for each in given:
            flag = self._by_spelling.get(each.flag) or self._negatives[each.flag]
            texts.setdefault(flag.parameter.name, []).append(self._text(each, flag))
        missing = [
            each
            for each in self._flags
            if each.parameter.required and each.parameter.name not in texts
        ]
        if missing:
            needs = " and ".join(f"{each.name} {_placeholder(each)}" for each in missing)
            raise Problem(f"task {self.task!r} needs {needs}; it is {self._show()}")
        values = {
            each.parameter.name: self._value(each, texts[each.parameter.name])
            for each in self._flags
            if each.parameter.name in texts
        }
        return self._placed(values)

    def _text(self, given: Given, flag: Flag) -> str:
        if given.flag not in self._negatives:
            return "true" if given.text is None else given.text
        if given.text is not None:
            raise Problem(f"{given.flag} takes no value; write {flag.name}={plain(given.text)}")
        return "false"

    def _value(self, flag: Flag, texts: list[str]) -> Any:
        hint = flag.parameter.annotation
        try:
            if flag.parameter.kind == "rest":
                return [read_value([text], hint) for text in texts]
            if flag.parameter.kind == "keywords":
                return read_pairs(texts, hint)
            return read_value(texts, hint)
        except ValueError as error:
            raise Problem(f"{flag.name} {plain(error, 2_000)}; correct it") from None

    def _placed(self, values: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return them by position where there is no other way, else by name."""
        args: list[Any] = []
        named: dict[str, Any] = {}
        kinds = {each.parameter.kind: each.parameter.name for each in self._flags}
        rest = values.get(kinds.get("rest", ""), ())
        for each in self._flags:
            name, kind = each.parameter.name, each.parameter.kind
            if kind == "positional" or (kind == "named" and rest):
                args.append(values.get(name, each.default))
            elif kind == "keywords":
                named |= values.get(name, {})
            elif name in values and kind != "rest":
                named[name] = values[name]
        while args and args[-1] is inspect.Parameter.empty:
            args.pop()
        return (*args, *rest), named

    def _show(self) -> str:
        bare = self._signature.replace(return_annotation=inspect.Signature.empty)
        return plain(f"{self.task}{bare}")

    def help_lines(self, target: str) -> Iterator[str]:
        """Yield what `--help` says behind the task's name."""
        yield f"Usage: trouper run [OPTIONS] {plain(target)} {self.task} [FLAGS]"
        if self.doc:
            yield ""
            yield from plain_lines(self.doc)
        yield ""
        yield f"Flags of {self.task}:" if self._flags else f"{self.task} has no flags."
        yield from columns(_help_row(each) for each in self._flags)
        yield ""
        yield "Options of the run: trouper run --help"


def _help_row(flag: Flag) -> tuple[str, ...]:
    name = f"{flag.name}, --no-{flag.name[2:]}" if flag.is_switch else flag.name
    what = "" if flag.is_switch else _placeholder(flag)
    if flag.parameter.required:
        return name, what, "required"
    if flag.default is inspect.Parameter.empty:
        return name, what, "may be given several times"
    return name, what, f"default {shown(flag.default, 60)}"


def _placeholder(flag: Flag) -> str:
    if flag.parameter.kind == "keywords":
        return "KEY=VALUE"
    hint = flag.parameter.annotation
    return "VALUE" if hint is Any else plain(show_type(hint), 60).upper()
