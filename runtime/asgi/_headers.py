"""What a request's headers say of the message that it becomes."""

import math
from collections.abc import Collection
from urllib.parse import unquote

from starlette.datastructures import Headers

from .._outside_context import is_traceparent


def traceparent_of(headers: Headers) -> str | None:
    """Return a valid W3C `traceparent`; None: there is none, which a broken one counts as.

    W3C Trace Context, 3.2: a receiver that can't parse it, or gets several, starts a new trace.
    """
    given = headers.getlist("traceparent")
    return given[0] if len(given) == 1 and is_traceparent(given[0]) else None


def timeout_of(headers: Headers, most: float) -> float | None:
    """Return the seconds of `Request-Timeout`, `most` at most; None: it was not said.

    Raises:
        ValueError: it is no number above 0.
    """
    given = headers.get("request-timeout")
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise ValueError(f"Request-Timeout takes seconds > 0, got {given!r}")
    return min(seconds, most)


def baggage_of(headers: Headers, keys: Collection[str]) -> dict[str, str]:
    """Return the listed keys of W3C `baggage`; others, and what can't be read, are left out."""
    found: dict[str, str] = {}
    for entry in ",".join(headers.getlist("baggage")).split(","):
        key, equals, value = entry.partition(";")[0].partition("=")
        if equals and key.strip() in keys:
            found[key.strip()] = unquote(value.strip())
    return found
