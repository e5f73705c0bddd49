"""A server on loopback that speaks like S3 and like Google's storage, and what a test asks of it.

It runs in a process of its own; what it keeps is in memory and goes with it. Import the fixtures
`bucket_server` and `buckets` where they are needed.
"""

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import frozen

_SERVER = """
import logging, sys, threading
from urllib.parse import quote, unquote
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
inner = DomainDispatcherApplication(create_backend_app)

def app(environ, start_response):
    # Google's clients sign otherwise; that it is for S3 is told by what it is signed for.
    if not environ.get("HTTP_AUTHORIZATION", "").startswith("AWS4"):
        environ["HTTP_AUTHORIZATION"] = (
            "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, "
            "SignedHeaders=host, Signature=0"
        )
        # They also write %2D for - and %2F for /, which the server does not undo.
        path, mark, query = environ["RAW_URI"].partition("?")
        for name in ("RAW_URI", "REQUEST_URI"):
            environ[name] = quote(unquote(path)) + mark + query
    return inner(environ, start_response)

server = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
"""
_KEY = re.compile(r"<Key>(.*?)</Key>")


@frozen
class Buckets:
    """What a test may ask of the server itself."""

    url: str

    def make(self, bucket: str) -> None:
        self._send("PUT", f"/{bucket}")

    def keys(self, bucket: str) -> list[str]:
        return _KEY.findall(self._send("GET", f"/{bucket}?list-type=2"))

    def unfinished(self, bucket: str) -> list[str]:
        """Return the keys of uploads that have begun, and neither ended nor been given up."""
        return _KEY.findall(self._send("GET", f"/{bucket}?uploads"))

    def forget_all(self) -> None:
        self._send("POST", "/moto-api/reset")

    def _send(self, method: str, path: str) -> str:
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            content: bytes = answer.read()
            return content.decode()


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    with server:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


@pytest.fixture(scope="session")
def cloud_library(bucket_server: str) -> None:
    """Start the threads and files that the library keeps as long as the process lives."""
    from obstore.store import from_url

    with pytest.MonkeyPatch.context() as patch:
        _say(patch, bucket_server)
        with suppress(Exception):
            list(from_url("s3://warm-up").list())


@pytest.fixture
def buckets(
    bucket_server: str,
    cloud_library: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Buckets]:
    """Lead s3:// and gs:// to the server, in which `my-bucket` is empty."""
    from trouper.runtime.io import _cloud

    _say(monkeypatch, bucket_server)
    account = tmp_path / "account.json"
    account.write_text(
        f'{{"gcs_base_url": "{bucket_server}", "disable_oauth": true, "client_email": "", '
        '"private_key": "", "private_key_id": ""}'
    )
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(account))
    monkeypatch.setenv("GOOGLE_ALLOW_HTTP", "true")
    made = Buckets(bucket_server)
    made.forget_all()
    made.make("my-bucket")
    yield made
    _cloud.forget_buckets()


def _say(patch: pytest.MonkeyPatch, url: str) -> None:
    for name in [each for each in os.environ if each.startswith(("AWS_", "GOOGLE_"))]:
        patch.delenv(name)
    patch.setenv("AWS_ENDPOINT_URL", url)
    patch.setenv("AWS_ALLOW_HTTP", "true")
    patch.setenv("AWS_ACCESS_KEY_ID", "key")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    patch.setenv("AWS_REGION", "us-east-1")
    for name in ("NO_PROXY", "no_proxy"):
        patch.setenv(name, "127.0.0.1")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, buckets: Buckets
) -> None:
    """Keep what a test leaves, beside its buckets, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TROUPER_HOME", str(tmp_path / ".trouper"))
