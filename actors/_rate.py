"""How many messages a second an actor takes: a token bucket.

A message costs one token. The bucket holds `burst` of them and is refilled evenly, so that in any
`t` seconds at most `burst + t * n / per` messages pass. Nothing waits here.
"""

import math

from attrs import field, frozen

_ALMOST = 1e-9
"""Tokens. What rounding may take from a whole one; without it a wait could end just too early."""


@frozen
class Rate:
    """At most `n` messages per `per` seconds, after a burst: `Rate(100)`, `Rate(2, per=0.05)`."""

    n: float
    per: float = 1.0
    """Seconds."""
    burst: float = field(kw_only=True, default=math.nan)
    """Messages that may follow one another at once; left out: `n`, and at least 1."""

    def __attrs_post_init__(self) -> None:
        for name, value in (("n", self.n), ("per", self.per), ("burst", self.burst)):
            if isinstance(value, bool) or not isinstance(value, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]  # from anybody
                raise TypeError(f"{name} of a rate takes a number, got {value!r}")
        if not (0 < self.n < math.inf and 0 < self.per < math.inf):
            raise ValueError(
                f"a rate needs n > 0 messages per > 0 s, finite; got {self.n!r} per {self.per!r} "
                "s; without a rate there is no limit"
            )
        if math.isnan(self.burst):
            object.__setattr__(self, "burst", max(1.0, float(self.n)))
        if not 1 <= self.burst < math.inf:
            raise ValueError(f"burst of a rate must be >= 1 and finite, got {self.burst!r}")

    @property
    def per_s(self) -> float:
        return self.n / self.per

    def __str__(self) -> str:
        return f"{self.n:g} per {self.per:g} s"


def as_rate(value: object, *, owner: str) -> Rate | None:
    """Return the rate that an option means: a `Rate`, messages per second, or None for no limit.

    Raises:
        TypeError: it is none of them.
        ValueError: it is a number that is no rate.
    """
    if value is None or isinstance(value, Rate):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"rate of {owner} takes messages per second, a trouper.Rate(n, per=seconds) or None, "
            f"got {value!r}"
        )
    if not 0 < value < math.inf:
        raise ValueError(
            f"rate of {owner} must be > 0 messages per second and finite, got {value!r}; leave it "
            "out for no limit, or pause the node to hold it"
        )
    return Rate(value)


@frozen
class Bucket:
    """A rate's tokens at one instant."""

    rate: Rate
    tokens: float
    """May be below 0: a batch is paid for afterwards."""
    at: float
    """Seconds on trio's clock."""

    @classmethod
    def full(cls, rate: Rate, now: float) -> "Bucket":
        return cls(rate, rate.burst, now)

    def refilled(self, now: float) -> "Bucket":
        """Return the bucket as it is at `now`, not before `at`."""
        grown = self.tokens + max(0.0, now - self.at) * self.rate.per_s
        return Bucket(self.rate, min(self.rate.burst, grown), now)

    def ready_at(self) -> float:
        """Return when the next message may pass, in seconds on trio's clock; `at`: now."""
        missing = 1.0 - self.tokens
        return self.at if missing <= _ALMOST else self.at + missing / self.rate.per_s

    def whole(self) -> int:
        """Return how many messages may pass right now."""
        return max(0, math.floor(self.tokens + _ALMOST))

    def spend(self, messages: int = 1) -> "Bucket":
        return Bucket(self.rate, self.tokens - messages, self.at)

    def at_rate(self, rate: Rate, now: float) -> "Bucket":
        """Return the bucket from `now` on with another rate.

        A larger burst is there at once, a smaller one holds at once (cases A5, B7t).
        """
        now_here = self.refilled(now).tokens
        more = max(0.0, rate.burst - self.rate.burst)
        return Bucket(rate, min(rate.burst, now_here + more), now)


Rate.__module__ = "trouper"
