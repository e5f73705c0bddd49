"""`reply_from=node`: the first output there that descends from a question is the reply."""

from ..actors._ask import Question
from ..channels._block import Block
from ..channels._lane import Lane
from ..channels._tracking import settle_piece


class ReplyTap(Lane):
    """Looks on at an output, and takes what answers a question. It never makes its sender wait."""

    __slots__ = ()

    def __init__(self, key: str) -> None:
        super().__init__(key, "@ask", _Taker(), capacity=float("inf"))

    def _after_placing(self) -> None:
        self.limit = 0  # every message comes by here
        while self.buffer:
            envelope = self.buffer.popleft()
            for each in envelope.context.tracking:
                # To one that is over, what follows is no reply, and not late.
                if isinstance(each, Question) and not each.is_over and self._answers(each):
                    each.answer(envelope.payload, self.source.partition(".")[0])
            settle_piece(self.reader, envelope, "acknowledged")

    def _answers(self, question: Question) -> bool:
        return question.reply_from == self.source


class _Taker:
    """Stands for the inbox at the end of the lane."""

    name = "@ask"

    def notice(self, lane: Lane) -> None:
        """Hear nothing: the lane takes what comes itself."""

    def press(self, lane: Lane) -> None:
        """Hear nothing: there is always room."""

    def is_waiting(self) -> bool:
        return False

    def offer(self, lane: Lane, block: Block) -> bool:
        return False
