"""Stand-ins for a router's publisher service: one that answers, one that hangs, one that is not there."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class RecordingRouter(ThreadingHTTPServer):
    """Answers every publication and records it; waits while `open` is not set.

    Topics in `refused` are answered with a WAMP error, those in `faulty` with HTTP 400.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.received: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.bodies = 0
        self.arrived = threading.Event()
        """Set when a publication is there, answered or not."""
        self.refused: set[str] = set()
        self.faulty: set[str] = set()
        self.open = threading.Event()
        self.open.set()
        self.changed = threading.Condition()
        self.connections: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/notify"

    @property
    def topics(self) -> list[str]:
        return [event["topic"] for event in self.received]

    def wait_for(self, number: int, timeout_s: float = 10) -> None:
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.received) >= number, timeout_s):
                raise AssertionError(
                    f"{len(self.received)} of {number} events came, the last: {self.topics[-5:]}"
                )

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = (
        True  # head and body are two writes: the second would wait 40 ms for an acknowledgement
    )
    server: RecordingRouter

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        are_many = self.headers["Content-Type"] == "application/x-ndjson"
        events = [json.loads(line) for line in (body.split(b"\n") if are_many else [body])]
        self.server.arrived.set()
        self.server.open.wait(20)
        with self.server.changed:
            self.server.authorizations.append(self.headers["Authorization"])
            self.server.received += events
            self.server.bodies += 1
            self.server.changed.notify_all()
        answers = [self._answer(event["topic"]) for event in events]
        body = json.dumps(answers if are_many else answers[0]).encode()
        is_faulty = not are_many and events[0]["topic"] in self.server.faulty
        self.send_response(400 if is_faulty else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, topic: str) -> dict[str, Any]:
        if topic in self.server.refused:
            return {"error": "wamp.error.not_authorized", "args": ["not allowed"], "kwargs": {}}
        if topic in self.server.faulty:
            return {"error": "wamp.error.invalid_uri", "args": ["not a valid URI"], "kwargs": {}}
        return {"id": len(self.server.received)}

    def log_message(self, *_args: Any) -> None:
        pass


@contextmanager
def recording_router(port: int = 0) -> Iterator[RecordingRouter]:
    with RecordingRouter(port) as router:
        thread = threading.Thread(target=router.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield router
        finally:
            router.open.set()
            router.shutdown()
            thread.join()
            for connection in list(router.connections):
                connection.close()


@contextmanager
def hanging_router() -> Iterator[str]:
    """A socket that accepts connections and never answers; yields its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        accepted: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    accepted.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/notify"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in accepted:
                connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
