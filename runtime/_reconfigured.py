"""The record of a change to a node that was running."""

from collections.abc import Mapping
from typing import Any

import msgspec


class Reconfigured(msgspec.Struct, frozen=True, kw_only=True):
    """One change, all of which holds from `at` on."""

    at: float
    """Seconds since the run began."""
    changes: Mapping[str, Any]
    """Option -> new value, `config` included."""
    reverted: bool = False
    """Whether this brought back the former values, because the node failed on probation."""


Reconfigured.__module__ = "trouper"
