"""Orders in PostgreSQL: heard of by a notice, looked up over a pool, booked in batches.

    python postgres.py postgresql://me@localhost/shop [ORDERS]

Three ways to a database from one graph in an asyncio program: `notices` is asyncio code of psycopg
as a source, `look_up` a call over a pool of asyncpg, and `book` an actor whose synchronous
connection of psycopg is used in a thread. It makes the tables `orders` and `booked` if they are not
there, orders, and prints what was booked.
"""

# asyncpg has no types of its own.
# pyright: basic

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any, LiteralString

import anyio.to_thread
import asyncpg
import psycopg

import trouper

TABLES: LiteralString = """
create table if not exists orders (id serial primary key, item text, pieces int);
create table if not exists booked (id int primary key, item text, pieces int);
"""

workflow = trouper.Workflow("orders")


# In asyncio, a source. A notice may be missed between two connections, so it begins with what is
# not booked yet; what comes twice is booked once.
async def notices(ctx: Any) -> AsyncIterator[int]:
    """Give the number of each order."""
    dsn: str = ctx.config["dsn"]
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("listen orders")
        waiting = await connection.execute(
            "select id from orders where id not in (select id from booked) order by id"
        )
        async for (number,) in waiting:
            yield number
        async for notice in connection.notifies():
            yield int(notice.payload)


# In asyncio, a call for each message. The pool is of the host's loop, and so is this.
async def look_up(ctx: Any, number: int) -> tuple[int, str, int]:
    """Return an order."""
    row: tuple[int, str, int] = tuple(
        await ctx.deps.fetchrow("select id, item, pieces from orders where id = $1", number)
    )
    return row


def connect(dsn: str) -> psycopg.Connection:
    """Connect, in a thread: it blocks."""
    return psycopg.connect(dsn)


def insert(connection: psycopg.Connection, rows: list[tuple[int, str, int]]) -> int:
    """Book orders in one transaction; a `with connection:` would close it as well."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany("insert into booked values (%s, %s, %s) on conflict do nothing", rows)
        return cursor.rowcount


numbers = workflow.add(trouper.asyncio_bridge(notices))
orders = workflow.add(trouper.asyncio_bridge(look_up), depends_on=[numbers], concurrency=4)


@workflow.actor(depends_on=[orders])
async def book(ctx: trouper.ActorContext[Any, Any, tuple[int, str, int], int]) -> None:
    """Book what there is at once, and send how many were new. In trio, as every actor."""
    connection = await anyio.to_thread.run_sync(connect, ctx.config["dsn"])
    try:
        while True:
            rows = await ctx.receive_many(100)
            await ctx.send(await anyio.to_thread.run_sync(insert, connection, rows))
    finally:
        connection.close()


async def order(dsn: str, count: int) -> None:
    """Order so many times, and tell whoever listens."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        for _ in range(count):
            await connection.execute(
                "with new as (insert into orders (item, pieces) values ('tea', 2) returning id) "
                "select pg_notify('orders', id::text) from new"
            )


async def main(dsn: str, count: int) -> None:
    """Run the graph until all that was ordered is booked."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(TABLES)
    async with (
        asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool,
        trouper.open(workflow, deps=pool, config={"dsn": dsn}) as run,
        run.stream("book") as lots,
    ):
        await order(dsn, count)
        booked = 0
        async for lot in lots:
            booked += lot
            if booked >= count:
                break
    print(f"booked {booked} orders")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100))
