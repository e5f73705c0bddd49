"""The service with a workflow inside: what it answers, and under load to its drain."""

from pathlib import Path

import httpx

from harness.programs import load_program, run_program


def test_every_accepted_reading_is_counted(tmp_path: Path) -> None:
    """SIGTERM under load: what its clients were told is counted, or refused by name."""
    done = run_program("embedding/load.py", "0.5", cwd=tmp_path)
    out = done.stdout.decode()
    assert done.returncode == 0, (out, done.stderr.decode())
    assert "readings accepted" in out
    assert "latency: p50" in out
    assert "drained in" in out


async def test_readings_come_alone_or_as_a_list_and_senseless_ones_are_dead_letters() -> None:
    service = load_program("embedding.fastapi_service")
    async with (
        service.app.router.lifespan_context(service.app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(service.app), base_url="http://here"
        ) as client,
    ):
        sensible = {"sensor": "a", "value": 20.5}
        senseless = {"sensor": "b", "value": 1e6}
        assert (await client.post("/readings", json=sensible)).status_code == 202
        assert (await client.post("/readings", json=[sensible, senseless])).status_code == 202
        wrong = await client.post("/readings", json=[{"sensor": 1}])
        assert wrong.status_code == 422
        assert "Expected `str`, got `int`" in wrong.text
        page = (await client.get("/")).text
        assert "/flow/stream/window" in page
        assert (await client.get("/counted")).json()["counted"] <= 2
    result = service.lifespan.result
    assert (result.status, result.results["counted"]) == ("completed", 2)
    (letter,) = result.dead_letters
    assert "b has measured 1e+06" in str(letter.attempts[-1].failure)
    assert (await _refused(service)).status_code == 503


async def _refused(service: object) -> httpx.Response:
    transport = httpx.ASGITransport(service.app)  # type: ignore[attr-defined]  # a module
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        return await client.post("/readings", json={"sensor": "a", "value": 1.0})
