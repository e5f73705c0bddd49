"""How the calls of one run use the cache.

Rule 1: a key is made of what a result depends on: the task, its code, its inputs, and the
configuration of the run. The custom context is no part of it.
Rule 2: what can't be keyed or kept is computed as if there were no cache; it is counted, and told
once for each task.
"""

import logging
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
from attrs import define, field

from ...actors._run_context import RunContext
from ..store._cache import Within
from ..store._flights import Call, Found, SingleFlight
from ..store._records import DEFAULT_SCOPE
from ._canonical import Form, kind_of, pack
from ._code import hash_code, name_of
from ._nowhere import Nowhere
from ._policy import CachePolicy
from ._results import decode_result, encode_result
from ._use import KEY, CacheUse

if TYPE_CHECKING:
    from ..tasks._spec import Spec

log = logging.getLogger("trouper")

_FORM = Form(name_of)


@define(eq=False)
class RunCache:
    """The cache, as one run uses it. Any thread may call it."""

    _flights: SingleFlight
    _within: Within
    _overwrites: bool
    _guard: threading.Lock = field(factory=threading.Lock, init=False)
    _told: set[str] = field(factory=set[str], init=False)
    _use: CacheUse = field(factory=CacheUse, init=False)

    @property
    def use(self) -> CacheUse:
        return self._use

    async def get(
        self,
        spec: "Spec",
        config: Any,
        given: tuple[tuple[Any, ...], dict[str, Any]],
        compute: Callable[[], Awaitable[Any]],
    ) -> Found:
        """Return the result of a call: from the cache, from an equal call, or from `compute`.

        Args:
            config: the configuration that the task sees.
            given: the bound arguments.
        """
        policy = spec.settings.cache
        assert policy is not None
        try:
            key = _key(spec, policy, config, spec.binder.as_mapping(*given))
        except Exception as problem:  # a thing that its code names may raise whatever it likes
            self._refuse(spec.name, f"a call of {spec.name} can't be keyed: {problem}")
            found = Found(await compute(), True)
        else:
            found = await self._flights.get(self._call(spec, policy, key), compute)
        self._count("computed" if found.is_computed else "hits")
        return found

    def _call(self, spec: "Spec", policy: CachePolicy, key: bytes) -> Call:
        return Call(
            key=key,
            task=spec.name,
            within=self._within,
            encode=partial(encode_result, hint=spec.returns),
            decode=partial(decode_result, hint=spec.returns),
            overwrite=self._overwrites or policy.behavior == "override",
            warn=partial(self._refuse, spec.name),
        )

    def _refuse(self, task: str, reason: str) -> None:
        self._count("not_cached")
        with self._guard:
            is_new = task not in self._told
            self._told.add(task)
        if is_new:
            log.warning("%s; further calls of it in this run are counted only", reason)

    def _count(self, what: str) -> None:
        with self._guard:
            self._use = msgspec.structs.replace(self._use, **{what: getattr(self._use, what) + 1})


def _key(spec: "Spec", policy: CachePolicy, config: Any, inputs: dict[str, Any]) -> bytes:
    for name in policy.ignored_inputs:
        inputs.pop(name, None)
    whole = {
        "task": [spec.environment, spec.name],
        "code": _code_of(spec) if policy.version is None else policy.version,
        "salt": policy.salt,
        "inputs": inputs,
        "config": config.content_hash() if config else "",
    }
    return blake2b(pack(whole, _FORM), digest_size=32).digest()


def _code_of(spec: "Spec") -> bytes:
    if spec.code is None:
        spec.code = hash_code(spec.function, _function_of)
    return spec.code


def _function_of(thing: Any) -> Any:
    """Return the function of a task that the code calls; None: it is none."""
    from ..tasks._bound_task import BoundTask  # here: it knows of this module

    # Not by isinstance: proxies answer that for what they stand for, and may raise.
    return thing.spec.function if issubclass(kind_of(thing), BoundTask) else None


def cache_of(run: RunContext) -> RunCache | None:
    """Return how a run uses the cache; None: it shall not."""
    if run.disable_run_cache:
        return None
    found: RunCache | None = run.kept.get(KEY)
    if found is None:
        # Two threads may come here at once; one of the two is kept.
        found = run.kept.setdefault(KEY, _make(run))
    return found


def _make(run: RunContext) -> RunCache:
    within = Within(
        scope=run.cache_lookup_scope,
        project=run.project or DEFAULT_SCOPE,
        domain=run.domain or "",
        run=run.run_name,
    )
    return RunCache(flights_of(run), within, run.overwrite_cache)


def flights_of(run: RunContext) -> SingleFlight:
    """Return the flights of the run's database; of a run without one, those that keep nothing."""
    tracked = run.kept.get("tracked")
    if tracked is not None:
        flights: SingleFlight = tracked.store.flights
        return flights
    return SingleFlight(cache=Nowhere())
