"""Libraries that are made with anyio work inside of actors, whatever the host is."""

import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest
import sniffio
import trio

import trouper
from harness.hosts import HOSTS, Host, run_in

pytestmark = pytest.mark.parametrize("host", HOSTS)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"you asked for {self.path}".encode()
        self.send_response(200 if "missing" not in self.path else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_httpx(host: Host, server: str) -> None:
    """One client for all messages, closed when the actor ends; a failed request is an attempt."""
    workflow = trouper.Workflow("fetching")

    @workflow.actor(max_attempts=2)
    async def fetch(ctx: trouper.ActorContext[None, None, str, str]) -> AsyncIterator[str]:
        async with httpx.AsyncClient(base_url=server, trust_env=False) as client:
            async for path in ctx:
                answer = await client.get(path)
                answer.raise_for_status()
                await ctx.reply(answer.text)
                yield answer.text

    async def use(run: Any) -> None:
        assert await run.ask("/a", to="fetch") == "you asked for /a"
        assert await run.ask("/b", to="fetch") == "you asked for /b"
        with pytest.raises(trouper.AskFailed, match="404"):
            await run.ask("/missing", to="fetch")
        assert await run.ask("/c", to="fetch") == "you asked for /c"

    result = run_in(host, workflow, use)
    assert (result.status, result.nodes["fetch"].failed) == ("completed", 2)


def test_streams_task_groups_and_cancel_scopes(host: Host) -> None:
    workflow = trouper.Workflow("anyio")

    @workflow.actor
    async def squares(ctx: trouper.ActorContext[None, None, int, int]) -> AsyncIterator[int]:
        assert sniffio.current_async_library() == "trio"
        limit, totals = anyio.Semaphore(2), list[int]()
        async for count in ctx:
            send, receive = anyio.create_memory_object_stream[int](1)

            async def square(number: int) -> None:
                async with limit:
                    await anyio.lowlevel.checkpoint()
                    await send.send(number * number)  # noqa: B023  # it ends within the round

            async with send, receive, anyio.create_task_group() as tasks:
                for number in range(count):
                    tasks.start_soon(square, number)
                totals.append(sum([await receive.receive() for _ in range(count)]))
                with anyio.move_on_after(0.01) as scope:
                    await receive.receive()  # nothing more comes
                assert scope.cancelled_caught
            yield totals[-1]

    async def use(run: Any) -> None:
        async with run.stream("squares") as totals:
            for count in (3, 4):
                await run.send(count, to="squares")
            assert [await anext(totals) for _ in range(2)] == [5, 14]

    assert run_in(host, workflow, use).status == "completed"


def test_a_failure_in_a_task_group_and_a_timeout_are_the_actors(host: Host) -> None:
    workflow = trouper.Workflow("failing")

    @workflow.actor(max_attempts=1)
    async def failing(ctx: trouper.ActorContext[None, None, str, None]) -> None:
        async def fail() -> None:
            raise LookupError("in a task of a group")

        async for kind in ctx:
            if kind == "group":
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(fail)
            with anyio.fail_after(0.01):
                await anyio.sleep_forever()

    async def use(run: Any) -> None:
        with pytest.raises(trouper.AskFailed, match="ExceptionGroup"):
            await run.ask("group", to="failing")
        with pytest.raises(trouper.AskFailed, match="TimeoutError"):
            await run.ask("time", to="failing")

    node = run_in(host, workflow, use).nodes["failing"]
    assert node.failed == 2
    assert "in a task of a group" in node.failures[0].text()


def test_sockets(host: Host) -> None:
    """A server of anyio in one actor, a client in another."""
    workflow = trouper.Workflow("sockets")
    port: list[int] = []
    is_open = trio.Event()

    async def answer(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            await stream.send((await stream.receive()).upper())

    @workflow.actor
    async def serve(ctx: trouper.ActorContext[None, None, None, None]) -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port.append(listener.extra(anyio.abc.SocketAttribute.local_port))
            is_open.set()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listener.serve, answer)
                await ctx.stopping.wait()
                tasks.cancel_scope.cancel()

    @workflow.actor
    async def client(ctx: trouper.ActorContext[None, None, str, None]) -> None:
        async for text in ctx:
            await is_open.wait()
            async with await anyio.connect_tcp("127.0.0.1", port[-1]) as stream:
                await stream.send(text.encode())
                await ctx.reply((await stream.receive()).decode())

    async def use(run: Any) -> None:
        assert await run.ask("hello", to="client") == "HELLO"

    result = run_in(host, workflow, use)
    assert (result.status, result.cut_short) == ("completed", ())


def test_a_database_whose_driver_blocks_through_a_thread(host: Host, tmp_path: Path) -> None:
    """As a synchronous psycopg connection would be used: one for the actor, calls in a thread."""
    file = tmp_path / "rows.db"
    workflow = trouper.Workflow("database")

    @workflow.actor
    async def write(ctx: trouper.ActorContext[None, None, int, None]) -> None:
        connection = sqlite3.connect(file, check_same_thread=False)
        with closing(connection):
            connection.execute("create table if not exists rows (number integer primary key)")
            while True:
                rows = [(number,) for number in await ctx.receive_many(100)]
                await anyio.to_thread.run_sync(_insert, connection, rows)

    async def use(run: Any) -> None:
        for number in range(250):
            await run.send(number, to="write")

    assert run_in(host, workflow, use).status == "completed"
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("select count(*) from rows").fetchone() == (250,)


def _insert(connection: sqlite3.Connection, rows: list[tuple[int]]) -> None:
    with connection:
        connection.executemany("insert or replace into rows values (?)", rows)
