"""The context that a message from outside is given."""

import re
from collections.abc import Mapping
from typing import cast

import msgspec
import trio

from ..channels._envelope import MessageContext

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
"""W3C Trace Context, level 1: version, trace id, parent id, flags; all-zero ids are void."""


def is_traceparent(text: str) -> bool:
    """Return whether a text is a W3C `traceparent` header."""
    return _TRACEPARENT.fullmatch(text) is not None


def outside_context(
    base: MessageContext,
    *,
    timeout: float | None = None,
    correlation_id: str | None = None,
    traceparent: str | None = None,
    custom_context: Mapping[str, str] | None = None,
) -> MessageContext:
    """Return `base`, or a context of its own for a message about which more is said.

    Args:
        timeout: seconds from now until the message's deadline.
        custom_context: over that of `base`.

    Raises:
        ValueError: the timeout is not above 0, or `traceparent` is no W3C header.
        TypeError: `custom_context` holds something else than str; with the key and the value.
    """
    changes: dict[str, object] = {}
    if timeout is not None:
        if not timeout > 0:
            raise ValueError(f"timeout must be > 0 s, got {timeout!r}; None is no deadline")
        changes["deadline"] = trio.current_time() + timeout
    if correlation_id is not None:
        changes["correlation_id"] = correlation_id
    if traceparent is not None:
        if not is_traceparent(traceparent):
            raise ValueError(
                f"traceparent {traceparent!r} is no W3C header; it looks like "
                "'00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'"
            )
        changes["traceparent"] = traceparent
    if custom_context:
        changes["custom_context"] = {**base.custom_context, **_checked(custom_context)}
    return msgspec.structs.replace(base, **changes) if changes else base


def _checked(custom_context: Mapping[str, str]) -> Mapping[str, str]:
    # What a caller without type checking may hand over.
    items = cast("Mapping[object, object]", custom_context)
    for key, value in items.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"custom_context takes str to str, got {key!r}: {value!r}; str() them")
    return custom_context
