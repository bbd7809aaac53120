"""One request to an application behind a Unix socket, and its response streamed back.

The only file that imports aiohttp.
"""

import asyncio
import json
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import aiohttp
from starlette.types import Send
from yarl import URL

from heliograph.http.refusal import RequestRefusedError
from heliograph.http.wsgi_environ import HOP_BY_HOP

MAX_ENVIRON_BYTES = 1024 * 1024
"""Longest description of a request, which the application's server takes too."""

MAX_RESPONSE_HEADER_BYTES = 64 * 1024
"""Longest line in the head of a response."""

POOL_KEEPALIVE_S = 15.0
"""Seconds an idle connection is kept. Shorter than the application's server keeps it, so that this side
closes first and no request meets a connection that is being closed."""

_SENT_BY_NOBODY = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_BODILESS_STATUSES = (204, 304)
# Added by the application's server; the router sends its own.
_SERVERS_OWN = frozenset({b"server", b"date"})


class ResponseCutError(Exception):
    """A response that had begun and cannot be completed; the message is the reason."""


class ApplicationSocket:
    """Sends requests to an application's server through its Unix socket.

    Args:
        path: the socket.
        token: what proves to the application's server that a request comes from here.
        timeout_s: seconds until a response must have begun.
        client_timeout_s: seconds a client may take nothing of the response.
    """

    def __init__(self, path: Path, token: str, *, timeout_s: float, client_timeout_s: float) -> None:
        self._path = path
        self._token = token
        self._timeout_s = timeout_s
        self._client_timeout_s = client_timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def answers(self, environ: dict[str, Any]) -> bool:
        """Tell whether a request is answered without an error, waiting as long as it takes."""
        try:
            async with await self._request(environ, None) as response:
                return response.status < 400
        except (aiohttp.ClientError, OSError):
            return False

    async def forward(self, environ: dict[str, Any], body: bytes | IO[bytes] | None, send: Send) -> None:
        """Send one request and stream its response.

        Args:
            environ: the request's WSGI environment.
            body: the request's body, a file at its beginning, or None when it has none.
            send: the request's ASGI `send`.

        Raises:
            RequestRefusedError: no response began.
            ResponseCutError: a response began and could not be completed.
        """
        response = await self._begin(environ, body)
        try:
            await self._relay(response, environ["REQUEST_METHOD"], send)
        finally:
            # Closes the connection unless the response was read to its end.
            response.close()

    async def _begin(self, environ: dict[str, Any], body: bytes | IO[bytes] | None) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._request(environ, body)
        except TimeoutError as error:
            text = f"The application did not answer within {self._timeout_s:g} s"
            raise RequestRefusedError(504, "no answer", text) from error
        except aiohttp.ClientConnectorError as error:
            raise RequestRefusedError(
                503, "not running", "The application is not running, try again", retry_after_s=2
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            text = "The application ended the connection without an answer, or its answer is not valid"
            raise RequestRefusedError(502, "bad answer", text) from error
        if not 200 <= response.status <= 599:
            response.close()
            text = f"The application answered with {response.status}, which is no status of a response"
            raise RequestRefusedError(502, "bad answer", text)
        return response

    async def _request(
        self, environ: dict[str, Any], body: bytes | IO[bytes] | None
    ) -> aiohttp.ClientResponse:
        # ASCII, with all control characters escaped: fit for a header.
        description = json.dumps(environ, separators=(",", ":"))
        if len(description) > MAX_ENVIRON_BYTES:
            raise RequestRefusedError(431, "headers too long", "The request's headers are too long")
        headers = {"X-Heliograph-Token": self._token, "X-Heliograph-Environ": description}
        # aiohttp repeats idempotent requests when a kept connection turns out to be closed. That is right for
        # GET and HEAD; a PUT or DELETE may have been carried out, so it travels as POST, which is not repeated.
        # The application sees the method in its environment.
        method = environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD") or body is not None:
            method = "POST"
        path = quote(environ["RAW_URI"].partition("?")[0], safe="/%:@!$&'()*+,;=~", encoding="latin-1")
        url = URL.build(scheme="http", host="application", path=f"/{path.removeprefix('/')}", encoded=True)
        return await self._open_session().request(
            method, url, headers=headers, data=body, allow_redirects=False
        )

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(self._path), limit=0, keepalive_timeout=POOL_KEEPALIVE_S),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                max_field_size=MAX_RESPONSE_HEADER_BYTES,
                max_line_size=MAX_RESPONSE_HEADER_BYTES,
                skip_auto_headers=_SENT_BY_NOBODY,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session

    async def _relay(self, response: aiohttp.ClientResponse, method: str, send: Send) -> None:
        headers = response_headers(response.raw_headers, response.status)
        await self._send(send, {"type": "http.response.start", "status": response.status, "headers": headers})
        if method != "HEAD" and response.status not in _BODILESS_STATUSES:
            while chunk := await self._read(response):
                await self._send(send, {"type": "http.response.body", "body": chunk, "more_body": True})
        await self._send(send, {"type": "http.response.body", "body": b""})

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the next bytes as soon as there are some; none at the end."""
        try:
            return await response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise ResponseCutError(f"the application broke it off ({type(error).__name__})") from error

    async def _send(self, send: Send, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(self._client_timeout_s):
                await send(message)
        except TimeoutError as error:
            raise ResponseCutError(f"its client took nothing for {self._client_timeout_s:g} s") from error


def response_headers(headers: tuple[tuple[bytes, bytes], ...], status: int) -> list[tuple[bytes, bytes]]:
    """Return the application's own headers, in their order.

    Args:
        headers: what its server sent.
        status: the response's status.
    """
    lowered = [(name.lower(), value) for name, value in headers]
    named = {
        option.strip().lower()
        for name, value in lowered
        if name == b"connection"
        for option in value.split(b",")
    }
    dropped = HOP_BY_HOP | _SERVERS_OWN | named
    if status in _BODILESS_STATUSES:
        # A length without a body, which these may have, is an error to many servers.
        dropped |= {b"content-length"}
    return [(name, value) for name, value in lowered if name not in dropped]
