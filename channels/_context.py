"""The message context of the running task, and the context of a message made from several."""

import math
import secrets
from collections.abc import Sequence
from contextvars import ContextVar

import msgspec

from ._envelope import NO_CONTEXT, MessageContext

message_context: ContextVar[MessageContext] = ContextVar("message_context", default=NO_CONTEXT)
"""What a message sent now inherits. Bound when a message is leased, if it is another object."""


def merge_contexts(contexts: Sequence[MessageContext]) -> tuple[MessageContext, int]:
    """Return the context of a message made from several, and how many custom keys were in conflict.

    The deadline is the earliest; `custom_context` is merged in the given order and the first value
    wins; there are links to the trace of every part, and a `traceparent` of its own: a new span in
    the first trace (case X2). Whoever follows one of the parts follows it too (case V2).

    Args:
        contexts: n >= 1, in `depends_on` order.
    """
    first = contexts[0]
    if all(context is first for context in contexts):
        return first, 0
    custom: dict[str, str] = {}
    conflicts = 0
    for context in contexts:
        for key, value in context.custom_context.items():
            conflicts += custom.setdefault(key, value) != value
    deadline = min(math.inf if c.deadline is None else c.deadline for c in contexts)
    traces = [c.traceparent for c in contexts if c.traceparent is not None]
    links = (link for c in contexts for link in c.links)
    merged = msgspec.structs.replace(
        first,
        custom_context=custom,
        deadline=None if deadline == math.inf else deadline,
        traceparent=_next_span(traces[0]) if traces else None,
        links=tuple(dict.fromkeys([*traces, *links])),
        tracking=tuple(dict.fromkeys(each for c in contexts for each in c.tracking)),
    )
    return merged, conflicts


def _next_span(traceparent: str) -> str:
    """Return a header of the same trace with another span, `version-trace-span-flags`."""
    return f"{traceparent[:36]}{secrets.token_hex(8)}{traceparent[-3:]}"
