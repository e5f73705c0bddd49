"""The bodies of requests, within bounds: each has so many bytes, and all together, and a time.

A body counts until its request is answered, for as long as that the message made of it is there.
What each has up to `FREE` is not counted: small requests pass, however many large ones are
under way, and a connection costs the server as much anyway.
"""

from collections.abc import Generator
from contextlib import aclosing, contextmanager

import anyio
from starlette.requests import Request

FREE = 16 * 1024
"""Bytes of each body that are not counted."""


class BodyRefused(Exception):
    """A body that is not read to its end; `status` is what its request gets."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Bodies:
    """All bodies that are under way."""

    def __init__(self, *, max_bytes: int, max_total: int, seconds: float) -> None:
        """Begin with none.

        Args:
            max_bytes: of one body.
            max_total: of all of them together, as far as they are counted.
            seconds: that a body may take to arrive.
        """
        self.max_bytes = max_bytes
        self.max_total = max_total
        self._seconds = seconds
        self.total = 0

    @contextmanager
    def body(self) -> Generator["Body"]:
        """Have room for a body; it is given back at the end of the block."""
        body = Body(self)
        try:
            yield body
        finally:
            self.total -= body.counted

    async def read(self, request: Request, body: "Body") -> bytes:
        """Read the body of a request.

        Raises:
            BodyRefused: it is too large, too slow, or there is no room for it now.
            ClientDisconnect: it does not come.
        """
        told = request.headers.get("content-length", "0")
        if told.isdecimal() and int(told) > self.max_bytes:
            raise self.too_large()
        parts: list[bytes] = []
        try:
            with anyio.fail_after(self._seconds):
                async with aclosing(request.stream()) as given:
                    async for part in given:
                        body.grow(len(part))
                        parts.append(part)
        except TimeoutError:
            raise BodyRefused(408, f"the body has not come within {self._seconds:g} s") from None
        return b"".join(parts)

    def too_large(self) -> BodyRefused:
        return BodyRefused(413, f"a body may have {self.max_bytes} bytes")


class Body:
    """One of them, while it grows."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._size = 0
        self.counted = 0

    def grow(self, count: int) -> None:
        """Count bytes that have come.

        Raises:
            BodyRefused: it, or all together, have too many.
        """
        self._size += count
        bodies = self._bodies
        if self._size > bodies.max_bytes:
            raise bodies.too_large()
        more = max(0, self._size - FREE) - self.counted
        if bodies.total + more > bodies.max_total:
            raise BodyRefused(
                503, f"more than {bodies.max_total} bytes of requests are under way; try again"
            )
        bodies.total += more
        self.counted += more
