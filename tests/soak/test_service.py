"""A FastAPI service under uvicorn, as a process of its own, under load while its actors crash."""

import json
import selectors
import signal
import socket
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import define, field

from harness.serving import LIMIT, Server, event_streams, open_files, resident, serving
from harness.soaking import EXPLORES, SECONDS

APP = Path(__file__).parent / "service.py"
CALLERS = 16
FOLLOWERS = 1_000 if EXPLORES else 12
"""Clients of the event stream."""
STALLED = FOLLOWERS // 4
"""How many of them never read."""
ROOM = 64 * 2**20
"""Bytes that the service may grow by, whatever the clients do ..."""
ROOM_EACH = 256 * 2**10
"""... and for each of them."""
REPORTED = {500, 503}
"""A dead letter; a run that drains."""


@define(eq=False)
class Load:
    """What the clients did, and what they were told."""

    server: Server
    replies: list[int] = field(factory=list)
    accepted: set[str] = field(factory=set)
    refused: dict[str, int] = field(factory=dict)
    """Id -> the status that was no success."""
    unknown: set[str] = field(factory=set)
    """Ids whose connection has ended without an answer."""
    is_ending: bool = False

    def call(self, number: int) -> None:
        """Ask and send in turn, until the service is no more."""
        client = HTTPConnection(self.server.host, self.server.port, timeout=LIMIT)
        with closing(client):
            for turn in count():
                item = f"{number}-{turn}"
                try:
                    if turn % 50 == 49:
                        self._leave(item)
                    elif turn % 2:
                        self._ask(client, item)
                    else:
                        self._send(client, item)
                except (HTTPException, OSError) as error:
                    if not self.is_ending:  # only a service that ends may hang up
                        raise AssertionError(
                            f"{item} was not answered:\n{self.server.log}"
                        ) from error
                    self.unknown.add(item)
                    return

    def _ask(self, client: HTTPConnection, item: str) -> None:
        status, answer = post(client, "/flow/ask/answer", item)
        if status == 200:
            assert answer["id"] == item
            self.replies.append(answer["reply"])
        else:
            self._note(item, status, answer)

    def _send(self, client: HTTPConnection, item: str) -> None:
        status, answer = post(client, "/flow/send/take", item)
        if status == 202:
            self.accepted.add(item)
        else:
            self._note(item, status, answer)

    def _note(self, item: str, status: int, answer: Any) -> None:
        assert status in REPORTED, (status, answer)
        self.refused[item] = status

    def _leave(self, item: str) -> None:
        """Ask, and be gone before the answer."""
        self.unknown.add(item)
        with self.server.connect() as stream:
            body = json.dumps({"id": item})
            head = f"POST /flow/ask/answer HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}"
            stream.sendall(f"{head}\r\n\r\n{body}".encode())

    def check(self, report: dict[str, Any]) -> None:
        """Every accepted request was answered or reported, and no reply given twice."""
        assert report["status"] == "completed", report["reason"]
        assert len(self.replies) == len(set(self.replies)), "a reply was given twice"
        told = {*report["seen"], *report["letters"]}
        lost = self.accepted - told
        assert len(lost) <= report["letters_fallen_out"], f"lost: {sorted(lost)[:9]}"
        strange = {each for each in report["seen"] if each not in self.accepted | self.unknown}
        assert not strange, f"handled, though not accepted: {sorted(strange)[:9]}"
        for edge in report["edges"]:
            settled = edge["acknowledged"] + edge["dead_lettered"] + edge["expired"]
            assert edge["sent"] == settled + sum(edge["dropped"].values()), edge
        assert report["failed"] > 0


def post(client: HTTPConnection, path: str, item: str) -> tuple[int, Any]:
    client.request("POST", path, body=json.dumps({"id": item}))
    answer = client.getresponse()
    return answer.status, json.loads(answer.read())


def follow(streams: list[socket.socket]) -> int:
    """Read them all to the end of each; return how many have ended in order."""
    ends = dict.fromkeys(streams, b"")
    ended = 0
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                stream = cast("socket.socket", key.fileobj)
                part = stream.recv(65536)
                ends[stream] = (ends[stream] + part)[-5:]
                if not part or ends[stream] == b"0\r\n\r\n":
                    selector.unregister(stream)
                    ended += bool(part)
    return ended


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 300)
def test_every_accepted_request_is_answered_or_reported(tmp_path: Path) -> None:
    """X6, X12, X25: whatever crashes, whoever leaves, and while SIGTERM drains it."""
    with open_files(4 * FOLLOWERS), serving(APP, tmp_path) as server, ExitStack() as stack:
        load = Load(server)
        assert server.client.get("/readyz").status_code == 200
        before = resident(server.process.pid)
        streams = stack.enter_context(event_streams(server, "/flow/stream/keep", FOLLOWERS))
        until = time.monotonic() + SECONDS
        pool = stack.enter_context(ThreadPoolExecutor(CALLERS + 1))
        follower = pool.submit(follow, streams[STALLED:])
        callers = [pool.submit(load.call, number) for number in range(CALLERS)]
        wait(callers, until - time.monotonic(), return_when=FIRST_EXCEPTION)
        grown = resident(server.process.pid) - before
        load.is_ending = True
        server.process.send_signal(signal.SIGTERM)
        for caller in callers:
            caller.result(LIMIT)
        server.told("soaked: drained in")
        assert follower.result(LIMIT) == FOLLOWERS - STALLED
        for stream in streams:
            stream.close()
        assert server.wait() == -signal.SIGTERM, server.log
    assert "Traceback" not in server.log, server.log
    load.check(json.loads((tmp_path / "report.json").read_bytes()))
    assert grown < ROOM + ROOM_EACH * FOLLOWERS, f"grown by {grown / 2**20:.0f} MiB"
    told = (
        f"{len(load.replies)} replies, {len(load.accepted)} accepted, {len(load.refused)} refused"
    )
    print(f"\n{told}, grown by {grown / 2**20:.0f} MiB")
