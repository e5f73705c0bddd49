"""What happens again and again is told once in a while, with a count of what was left out."""

from attrs import define, field


@define
class _Told:
    at: float
    left_out: int = 0


@define
class OnceInAWhile:
    """Decides which of many happenings are told: of each kind one in every `period` seconds."""

    period: float
    _told: dict[str, _Told] = field(factory=dict[str, _Told], init=False)

    def earlier(self, kind: str, now: float) -> int | None:
        """Return how many of its kind were left out since the last one told; None: leave it out.

        Args:
            now: seconds, not before those of the last call.
        """
        last = self._told.get(kind)
        if last is not None and now - last.at < self.period:
            last.left_out += 1
            return None
        # Bound: those told within a period, and those of which something is left to tell.
        self._told = {
            each: told
            for each, told in self._told.items()
            if told.left_out or now - told.at < self.period
        }
        self._told[kind] = _Told(now)
        return 0 if last is None else last.left_out

    def left_out(self) -> dict[str, int]:
        """Return how many of each kind were left out, of those that no later one has counted."""
        return {kind: told.left_out for kind, told in self._told.items() if told.left_out}
