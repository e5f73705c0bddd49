"""The cache of a run that is recorded nowhere: equal calls at once share a result, none is kept."""

from ..store._cache import EVERYWHERE, Hit, Turn, Within


class Nowhere:
    """Has the methods of `Cache` that `SingleFlight` uses."""

    def begin(
        self, key: bytes, *, overwrite: bool = False, within: Within = EVERYWHERE
    ) -> Hit | Turn | None:
        return Turn("")

    def finish(
        self, key: bytes, turn: Turn, value: bytes, *, task: str, within: Within = EVERYWHERE
    ) -> bool:
        raise AssertionError("a turn without a token keeps nothing")

    def give_up(self, turn: Turn) -> None:
        raise AssertionError("a turn without a token has nothing to give up")
