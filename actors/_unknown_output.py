"""The error of a message that is addressed to an output which the actor doesn't have."""

import difflib
from collections.abc import Iterable


class UnknownOutput(KeyError):
    """`ctx.send(x, to=...)` names an output that was not declared.

    Attributes:
        node: who sends.
        output: what was named.
    """

    def __init__(self, node: str, output: object, declared: Iterable[str]) -> None:
        names = sorted(declared)
        close = difflib.get_close_matches(str(output), names, n=1)
        meant = f"did you mean {close[0]!r}? Else " if close else ""
        super().__init__(
            f"{node!r} has no output {output!r} (declared: {', '.join(names) or 'none'}); "
            f"{meant}declare it with outputs={{{output!r}: Type}}"
        )
        self.node = node
        self.output = output

    def __str__(self) -> str:
        # That of a KeyError is the text in quotes, with every quote in it escaped.
        return str(self.args[0])


UnknownOutput.__module__ = "trouper"
