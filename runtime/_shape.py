"""The shape of a user's task or actor: values only, filled in by `_signature`."""

from typing import Literal

import attrs

Kind = Literal["task", "actor"]
Entry = Literal["call", "execute", "run"]
ParameterKind = Literal["positional", "named", "keyword", "rest", "keywords"]


@attrs.frozen(kw_only=True)
class Parameter:
    """One plain parameter of a task or actor."""

    name: str
    annotation: object
    """`Any` where nothing is said or nothing can be known."""
    required: bool
    kind: ParameterKind
    """`positional` has no name for the caller; `rest` is `*args`, `keywords` is `**kwargs`."""


@attrs.frozen(kw_only=True)
class Shape:
    """How a task or actor is called, and what it says about its types."""

    kind: Kind
    entry: Entry
    """What to call: the object itself, or its method of this name."""
    is_factory: bool
    """The object makes a new one for each incarnation (a class, or a partial of one)."""
    is_async: bool
    """False: the body blocks and belongs in a worker thread."""
    is_generator: bool
    """Calling it gives an async iterator, not an awaitable."""
    takes_ctx: bool
    context: object
    """The annotation of the context parameter, else `Any`."""
    parameters: tuple[Parameter, ...]
    """The plain parameters, without the context."""
    returns: object
    """The type of its result, of one yielded value for a generator, else `Any`."""
    owner: type | None
    """The class that `execute` or `run` belongs to."""
    label: str
    """For errors: `Fetch.execute`, `load_data`."""
