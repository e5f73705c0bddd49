"""Flask and Django, which are synchronous, with a graph beside them: as processes, to their end."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.programs import EXAMPLES
from harness.serving import LIMIT, serving

FOLDER = EXAMPLES / "embedding"
GUNICORN = ("gunicorn", "--threads", "4", "--no-control-socket", "--bind", "fd://{fd}")


def test_a_flask_service_books_what_it_has_accepted(tmp_path: Path) -> None:
    """SIGTERM ends the worker, and its exit drains the run that it has started."""
    with serving(FOLDER / "flask_app.py", tmp_path, (*GUNICORN, "{app}")) as served:
        url = f"http://{served.host}:{served.port}"

        def order(pieces: int) -> int:
            answer = served.client.post(f"{url}/orders", json={"item": "tea", "pieces": pieces})
            total: int = answer.json()["total"]
            return total

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(order, range(20))) == [pieces * 3 for pieces in range(20)]
        answer = served.client.post(f"{url}/orders", json={"item": "rum"})
        assert (answer.status_code, answer.text) == (404, "no price for 'rum'")
        answer = served.client.post(f"{url}/orders", json={"pieces": 1})
        assert answer.status_code == 422
        assert "missing required field `item`" in answer.text
        assert set(served.client.get(f"{url}/booked").json()) <= {"tea"}
        assert served.stop(signal.SIGTERM) == 0
    assert f"drained; booked {{'tea': {sum(range(20))}}}" in served.log


def test_a_django_service_counts_what_it_has_accepted(tmp_path: Path) -> None:
    command = (*GUNICORN, "served:application")
    with serving(FOLDER / "django_app.py", tmp_path, command) as served:
        url = f"http://{served.host}:{served.port}"
        for number in range(30):
            answer = served.client.post(f"{url}/visits", json={"page": f"/a?number={number}"})
            assert answer.status_code == 202
        assert served.client.post(f"{url}/visits", content=b"{").status_code == 422
        assert served.client.get(f"{url}/visits").status_code == 405
        top = served.client.get(f"{url}/top", timeout=LIMIT).json()["top"]
        assert top == [] or top[0][0] == "/a"
        assert served.stop(signal.SIGTERM) == 0
    assert "drained; counted 30 visits" in served.log
