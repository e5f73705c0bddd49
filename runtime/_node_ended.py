"""A message for a node that takes nothing more."""

import trio


class NodeEnded(trio.BrokenResourceError):
    """A message was sent to, or a question asked of, a node that takes nothing more.

    Attributes:
        payload: the message, or question. It was not handled, and is still whose it was.
    """

    def __init__(self, message: str, payload: object = None) -> None:
        super().__init__(message)
        self.payload = payload


NodeEnded.__module__ = "trouper"
