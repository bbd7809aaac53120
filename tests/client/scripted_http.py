"""An HTTP server that does what a test tells it, a thread a connection."""

import json
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

Answer = Callable[[socket.socket, bytes], bool]
"""Takes the connection and a request's body; returns whether to keep the connection."""


def http(status: str, body: bytes, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def says(answer: bytes, *, keep: bool = True) -> Answer:
    """Answer with these bytes."""

    def script(connection: socket.socket, _body: bytes) -> bool:
        connection.sendall(answer)
        return keep

    return script


def says_json(value: Any, status: str = "200 OK") -> Answer:
    return says(http(status, json.dumps(value).encode()))


def acknowledges(connection: socket.socket, body: bytes) -> bool:
    """Answer as a publisher of Heliograph does: the number in each event's topic `t.N` becomes its id.

    One to `refused.N` is refused.
    """
    events = [json.loads(line) for line in body.split(b"\n")]
    answers: list[dict[str, Any]] = []
    for event in events:
        kind, number = event["topic"].split(".")
        refusal = {"error": "wamp.error.not_authorized", "args": [number], "kwargs": {}}
        answers.append({"id": int(number) + 1} if kind == "t" else refusal)
    connection.sendall(http("200 OK", json.dumps(answers if len(events) > 1 else answers[0]).encode()))
    return True


class ScriptedHttp:
    """Remembers every request and answers it by `answer`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.answer: Answer = says_json({"id": 4711})
        self.bodies: list[Any] = []
        self.heads: list[bytes] = []
        self.connections: list[socket.socket] = []
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}/notify"

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.tls is not None:
                try:
                    connection = self.tls.wrap_socket(connection, server_side=True)
                except OSError:  # the client does not trust us
                    connection.close()
                    continue
            self.connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        buffered = b""
        try:
            while True:
                while b"\r\n\r\n" not in buffered:
                    received = connection.recv(65536)
                    if not received:
                        return
                    buffered += received
                head, _, rest = buffered.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                while len(rest) < length:
                    rest += connection.recv(65536)
                self.heads.append(head)
                are_lines = b"Content-Type: application/x-ndjson" in head
                body = rest[:length]
                self.bodies.append(
                    [json.loads(line) for line in body.split(b"\n")] if are_lines else json.loads(body)
                )
                buffered = rest[length:]
                if not self.answer(connection, rest[:length]):
                    return
        except OSError:
            return
        finally:
            connection.close()

    def close_connections(self) -> None:
        """Close every connection, as a server does with idle ones, and wait until they are closed."""
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads[1:]:
            thread.join(10)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_connections()
        self._threads[0].join(10)
