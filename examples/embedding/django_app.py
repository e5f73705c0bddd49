"""A Django service in one file, with synchronous views and a graph of actors beside them.

    gunicorn --threads 8 django_app:application       # in this folder

`POST /visits` with `{"page": "/a"}` counts a visit, `GET /top` tells the pages that were visited
most. The run is started once in each process, and drained when that exits.
"""

# Django has no types of its own.
# pyright: basic

import logging
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.urls import path

import trouper

logging.basicConfig(level=logging.INFO, format="%(message)s")
settings.configure(ALLOWED_HOSTS=["127.0.0.1", "localhost"], ROOT_URLCONF=__name__, USE_TZ=True)

workflow = trouper.Workflow("visits")


class Visit(msgspec.Struct):
    """What a client sends."""

    page: str


@workflow.actor
async def clean(ctx: trouper.ActorContext[None, None, Visit, str]) -> AsyncIterator[str]:
    """Leave out what follows the page's address."""
    async for visit in ctx:
        yield visit.page.partition("?")[0]


@workflow.actor(depends_on=[clean])
async def count(ctx: trouper.ActorContext[None, None, str, None]) -> None:
    """Count the visits of each page."""
    pages: Counter[str] = Counter()
    async for page in ctx:
        pages[page] += 1
        ctx.set_result("top", pages.most_common(10))
    logging.info("drained; counted %d visits", pages.total())


# Where this module is imported by each worker, that is after the fork: not with --preload.
run = trouper.open_blocking(workflow).start()


def visits(request: HttpRequest) -> HttpResponse:
    """Take a visit: it waits while the graph is full, and is counted even if the process ends."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        visit = msgspec.json.decode(request.body, type=Visit)
    except msgspec.DecodeError as error:
        return HttpResponse(str(error).encode(), status=422)
    try:
        run.send(visit, to=clean)
    except trouper.NodeEnded:
        return HttpResponse(b"draining", status=503)
    return HttpResponse(status=202)


def top(request: HttpRequest) -> JsonResponse:
    """Tell the pages that were visited most."""
    return JsonResponse({"top": run.results.get("top", [])})


urlpatterns = [path("visits", visits), path("top", top)]
application = get_wsgi_application()
