"""A real `POST /clients/` on a free port, whose answer a test chooses."""

from __future__ import annotations

import threading
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

CONFIGURATION = {"id": 3, "client": "web-1", "ip": "192.0.2.7", "show_disk": False, "frequency": 5}


class ClientsServer(ThreadingHTTPServer):
    """Keeps the requests it was sent; answers as `answer` says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ClientsHandler)
        self.requests: list[tuple[str, dict[str, list[str]]]] = []
        self.answer: Callable[[ClientsHandler], None] = lambda handler: handler.reply(200, CONFIGURATION)
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/clients/"


class ClientsHandler(BaseHTTPRequestHandler):
    server: ClientsServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.requests.append((self.path, urllib.parse.parse_qs(body, strict_parsing=True)))
        self.server.answer(self)

    def reply(self, status: int, body: object, *headers: tuple[str, str]) -> None:
        payload = body if isinstance(body, bytes) else msgspec.json.encode(body)
        self.send_response(status)
        for name, value in (("Content-Length", str(len(payload))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def drip(self) -> None:
        """Send a byte of the answer now and then, for ever."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{")
        while not self.server.stopping.wait(0.01):
            try:
                self.wfile.write(b" ")
            except OSError:
                return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name for it
        """Say nothing."""
