"""Messages that go from hand to hand in bulk, without an envelope each.

`send_many` hands a block to a reader that is waiting in `receive_many` with room for all of it. The
envelopes are made only if somebody asks for them, or if the batch comes again.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, islice, repeat
from typing import Any

import msgspec

from ._envelope import Envelope, MessageContext, Origin


class Block(msgspec.Struct, frozen=True, gc=False):
    """Consecutive messages of one edge with one context."""

    payloads: Sequence[Any]
    source: str
    first_seq: int
    context: MessageContext
    base: Origin | None
    """Where they come from; None at a source."""
    via: str
    first_n: int
    """Number of the first one among the outputs of the message they were made from."""
    keeps_id: bool = False
    """Whether the first one keeps the id of that message, as `Lineage.next_origin` gives it."""

    def envelope(self, index: int) -> Envelope[Any]:
        origin = self.base
        if origin is not None and not (self.keeps_id and index == 0):
            origin = (origin, self.via, self.first_n + index)
        payload, seq = self.payloads[index], self.first_seq + index
        return Envelope(payload, self.source, seq, 1, self.context, origin)

    def envelopes(self) -> Iterable[Envelope[Any]]:
        """Make all envelopes, at the speed of C."""
        n = len(self.payloads)
        numbers = range(self.first_seq, self.first_seq + n)
        origins: Iterable[Origin | None] = repeat(None)
        if self.base is not None:
            steps = range(self.first_n, self.first_n + n)
            origins = zip(repeat(self.base), repeat(self.via), steps, strict=False)
            if self.keeps_id:
                origins = chain((self.base,), islice(origins, 1, None))
        source, context = repeat(self.source), repeat(self.context)
        return map(Envelope, self.payloads, source, numbers, repeat(1), context, origins)
