"""What a run gives back: a tuple that also has names."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard


class Outputs(tuple[Any, ...]):
    """The outputs of a run, in order: `outputs[0]`, `outputs["o0"]`, `outputs.o0`."""

    names: tuple[str, ...]
    """`o0`, `o1`, ...; a NamedTuple's are its fields, a workflow's its nodes."""

    def __new__(cls, values: Iterable[Any] = (), names: Iterable[str] | None = None) -> "Outputs":
        made = super().__new__(cls, values)
        default = (f"o{number}" for number in range(len(made)))
        made.names = tuple(default if names is None else names)
        return made

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key not in self.names:
                raise KeyError(f"there is no output {key!r}; there are {', '.join(self.names)}")
            key = self.names.index(key)
        return super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("names", ()):
            return self[name]
        raise AttributeError(f"there is no output {name!r}; there are {', '.join(self.names)}")

    def __reduce__(self) -> Any:
        return Outputs, (tuple(self), self.names)

    def items(self) -> Iterator[tuple[str, Any]]:
        return zip(self.names, self, strict=True)

    def __repr__(self) -> str:
        return f"Outputs({', '.join(f'{name}={value!r}' for name, value in self.items())})"


def outputs_of(value: Any) -> Outputs:
    """Return a task's result as outputs: nothing for None, each member of a tuple, else itself."""
    if value is None:
        return Outputs()
    if _is_tuple(value):
        return Outputs(value, getattr(value, "_fields", None))
    return Outputs((value,))


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def outputs_of_nodes(outputs: Mapping[str, Any]) -> Outputs:
    """Return the outputs of a workflow, by node."""
    return Outputs(outputs.values(), outputs)


Outputs.__module__ = "trouper"
