"""What stands on the command line of `trouper run`, read but not yet judged."""

from collections.abc import Sequence

from attrs import field, frozen

from ._run_flags import RunFlags


@frozen(kw_only=True)
class RunOptions:
    """The options of `trouper run`."""

    target: str
    duration: str | None = None
    config: Sequence[str] = ()
    profile: str | None = None
    overrides: Sequence[str] = ()
    dead_letters: str | None = None
    redeliver: str | None = None
    as_json: bool = False
    is_plain: bool = False
    settings: str | None = None
    no_settings: bool = False
    flags: RunFlags = field(factory=RunFlags)
