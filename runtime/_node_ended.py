"""A message for a node that takes nothing more."""

import trio


class NodeEnded(trio.BrokenResourceError):
    """A message was sent to a node that takes nothing more. The message is still the sender's."""


NodeEnded.__module__ = "trouper"
