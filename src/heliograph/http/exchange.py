"""Reading an HTTP request and answering it, for services that need no framework."""

import asyncio
import http
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

import msgspec

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

TRANSPORT_EXTENSION = "heliograph.transport"
"""Under this name a request's scope tells of the connection it came on: `{"transport": <asyncio's>}`."""

BODY_TIMEOUT_S = 30.0
"""Seconds a client may take for its request's whole body, which has at most 1 MiB."""


class HttpError(Exception):
    """A request that is answered with an error.

    Args:
        status: of the answer.
        text: what was wrong and what to do.
        headers: further headers.
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})


class ClientGone(Exception):  # noqa: N818 - nobody is left to be told of an error
    """The client has closed the connection before its request was complete, or answered."""


def headers_by_name(raw_headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers, whose names are in lower case, by name; one that came several times is joined by commas."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw_headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip()
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


async def read_body(headers: Mapping[str, str], receive: Receive, *, limit_bytes: int) -> bytes:
    """Return the whole body.

    Raises:
        HttpError: 413 when it is longer than `limit_bytes`, 408 when it does not come.
        ClientGone: the client went away.
    """
    # The connection stays open: closed upon unread bytes, it would be reset, and the answer lost with it. Whatever
    # comes of the body is skipped.
    too_large = HttpError(413, f"the body may have at most {limit_bytes} bytes")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit_bytes:
        raise too_large
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                piece = message.get("body", b"")
                size += len(piece)
                if size > limit_bytes:
                    raise too_large
                pieces.append(piece)
                if not message.get("more_body", False):
                    return b"".join(pieces)
    except TimeoutError:
        raise HttpError(408, "the body did not arrive in time", {"Connection": "close"}) from None


def last_answer(
    status: int, text: str, headers: Mapping[str, str], further: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Return a whole response, behind which the connection ends.

    Args:
        status: of the response.
        text: its body.
        headers: of this one.
        further: headers of every response.
    """
    body = f"{text}\n".encode()
    lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}".encode()]
    lines += [name + b": " + value for name, value in further]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in headers.items()]
    lines += [
        b"content-type: text/plain; charset=utf-8",
        b"content-length: %d" % len(body),
        b"connection: close",
        b"",
        body,
    ]
    return b"\r\n".join(lines)


async def answer(send: Send, status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> None:
    """Send a whole response."""
    all_headers = {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (name.lower().encode(), value.encode("latin-1")) for name, value in all_headers.items()
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def answer_nothing(send: Send, headers: Mapping[str, str]) -> None:
    """Send 204."""
    # "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx (Informational)
    # or 204 (No Content)" (RFC 9110, section 8.6)
    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 204, "headers": lines})
    await send({"type": "http.response.body"})


async def answer_text(send: Send, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
    """Send `text` as the response."""
    await answer(send, status, f"{text}\n".encode(), "text/plain; charset=utf-8", headers or {})


async def answer_json(send: Send, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
    """Send `value` as JSON; it must be expressible."""
    await answer(send, status, msgspec.json.encode(value), "application/json; charset=utf-8", headers or {})
