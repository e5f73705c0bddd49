"""The context that a message from outside is given."""

import re
from collections.abc import Mapping
from typing import cast

import msgspec
import trio

from ..actors._run_context import read_only
from ..actors._text import check_text
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
        TypeError: `custom_context` holds something else than str, with the key and the value; or
            `correlation_id` is no str.
    """
    changes: dict[str, object] = {}
    if timeout is not None:
        if not timeout > 0:
            raise ValueError(f"timeout must be > 0 s, got {timeout!r}; None is no deadline")
        changes["deadline"] = trio.current_time() + timeout
    if correlation_id is not None:
        if not isinstance(cast("object", correlation_id), str):
            raise TypeError(f"correlation_id takes a str, got {correlation_id!r}; str() it")
        changes["correlation_id"] = check_text(correlation_id, "correlation_id")
    if traceparent is not None:
        if not is_traceparent(str(traceparent)):
            raise ValueError(
                f"traceparent {traceparent!r} is no W3C header; it looks like "
                "'00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'"
            )
        changes["traceparent"] = traceparent
    if custom_context is not None and (pairs := read_only(custom_context)):
        changes["custom_context"] = {**base.custom_context, **pairs}
    return msgspec.structs.replace(base, **changes) if changes else base
