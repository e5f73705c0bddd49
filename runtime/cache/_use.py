"""What the cache has done for a run. Known without loading the cache itself."""

import msgspec

from ...actors._run_context import RunContext

KEY = "result cache"
"""Where a run keeps its cache."""


class CacheUse(msgspec.Struct, frozen=True, kw_only=True):
    """What the cache has done for a run: numbers of calls of tasks that have one."""

    hits: int = 0
    """Results that were taken from it, or from an equal call that went on."""
    computed: int = 0
    """Calls that have computed their result, because it was not there or not to be used."""
    not_cached: int = 0
    """Of these, calls whose inputs or result could not be keyed or kept."""


def cache_use(run: RunContext) -> CacheUse:
    """Return what the cache has done for a run so far."""
    cache = run.kept.get(KEY)
    use: CacheUse = CacheUse() if cache is None else cache.use
    return use


CacheUse.__module__ = "trouper"
