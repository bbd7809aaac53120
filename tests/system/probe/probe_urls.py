"""The tutorial's site, and views that show what the router does for it."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django_project.urls import urlpatterns as tutorial

BURNING_THREADS = 4
WAIT_S = 30

released = threading.Event()
"""Set by `/probe/release`: lets the views that wait go on."""


def echo(request: HttpRequest, rest: str) -> HttpResponse:
    keys = "REMOTE_ADDR", "REMOTE_PORT", "SCRIPT_NAME", "QUERY_STRING", "HTTP_HOST", "wsgi.url_scheme"
    environ = {key: request.META.get(key) for key in keys}
    return JsonResponse({"path": request.path, "rest": rest, "query": request.GET.dict(), **environ})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Send a line, and another one when released."""

    def lines() -> Iterator[bytes]:
        released.clear()
        yield b"first\n"
        yield b"second\n" if released.wait(WAIT_S) else b"never released\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    digest, size = hashlib.sha256(), 0
    while chunk := request.read(64 * 1024):
        digest.update(chunk)
        size += len(chunk)
    length = request.META.get("CONTENT_LENGTH")
    return JsonResponse({"sha256": digest.hexdigest(), "size": size, "content_length": length})


def burn(request: HttpRequest) -> StreamingHttpResponse:
    """Burn CPU in four threads until released; the first line says that all of them do, the last how much."""

    def lines() -> Iterator[bytes]:
        released.clear()
        started = threading.Barrier(BURNING_THREADS + 1)
        turns = [0] * BURNING_THREADS
        threads = [
            threading.Thread(target=burner(started, turns, number), daemon=True)
            for number in range(BURNING_THREADS)
        ]
        for thread in threads:
            thread.start()
        started.wait(WAIT_S)
        yield b"burning\n"
        for thread in threads:
            thread.join(WAIT_S)
        yield f"{turns}\n".encode()

    return StreamingHttpResponse(lines(), content_type="text/plain")


def burner(started: threading.Barrier, turns: list[int], number: int) -> Callable[[], None]:
    def work() -> None:
        started.wait(WAIT_S)
        while not released.is_set():
            sum(range(10_000))
            turns[number] += 1

    return work


def release(request: HttpRequest) -> HttpResponse:
    released.set()
    return HttpResponse("released")


def worker(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"pid": os.getpid()})


urlpatterns = [
    path("probe/stream", stream),
    path("probe/upload", upload),
    path("probe/burn", burn),
    path("probe/release", release),
    path("probe/worker", worker),
    path("probe/echo/<path:rest>", echo),
    *tutorial,
]
