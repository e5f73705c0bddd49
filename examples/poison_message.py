"""A message that no attempt can handle: it ends in the dead letters, and is put back after a fix.

    python examples/poison_message.py

Orders come with prices, and one of them was typed with a comma. The node fails over it twice, gives
it up, and goes on with the others. Then somebody mends the parser, and the dead letter is put back.
"""

from collections.abc import Callable

import trio

import trouper
from trouper import ActorContext, Backoff, DeadLetter

ORDERS = ("tea 3.20", "coffee 4.10", "cake 2,90", "bread 1.80")


class Till:
    """Adds up what the orders cost. One object serves all incarnations, and keeps the sum."""

    def __init__(self) -> None:
        self.parse: Callable[[str], float] = float
        self.paid: dict[str, float] = {}
        self.all_seen = trio.Event()

    async def run(self, ctx: ActorContext[None, None, str]) -> None:
        async for order in ctx:
            if order == "last":
                self.all_seen.set()
                continue
            name, price = order.split()
            self.paid[name] = self.parse(price)


def with_comma(price: str) -> float:
    """Read a price with a point or a comma: the fix."""
    return float(price.replace(",", "."))


def story(letter: DeadLetter) -> str:
    """Return the history of a dead letter."""
    attempts = "\n".join(f"  attempt {each.number}: {each.failure}" for each in letter.attempts)
    return f"{letter.node} gave up {letter.envelope.payload!r} ({letter.reason})\n{attempts}"


async def main() -> None:
    till = Till()
    wf = trouper.Workflow("poison-message")
    wf.add(till, name="till", max_attempts=2, backoff=Backoff(min=0, max=0))
    async with wf.open() as run:
        for order in (*ORDERS, "last"):
            await run.send(order)
        await till.all_seen.wait()
        print(f"paid so far: {sum(till.paid.values()):.2f} for {len(till.paid)} orders")
        for letter in run.dead_letters():
            print(story(letter))
        till.parse = with_comma
        print(f"after the fix {await run.redeliver(run.dead_letters())} order was put back")
    print(f"paid in the end: {sum(till.paid.values()):.2f} for {len(till.paid)} orders")
    print(f"dead letters left: {len((await run.wait()).dead_letters)}")


if __name__ == "__main__":
    trio.run(main)
