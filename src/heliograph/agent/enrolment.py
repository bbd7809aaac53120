"""Telling the server that this machine is there, and being told how to behave: `POST /clients/`."""

from __future__ import annotations

import http.client
import socket
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

import heliograph
from heliograph.agent.errors import EnrolmentError
from heliograph.agent.identity import read_address_towards
from heliograph.agent.off_loop import OffLoop
from heliograph.agent.options import AgentOptions
from heliograph.agent.text import encodable, error_text

_DEFAULT_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}
MAX_REASON_CHARACTERS = 300


class Enrolment(Protocol):
    """Where the configuration comes from."""

    async def address(self) -> str:
        """Return this machine's address on the way to the router; raises `AgentError`, `OSError` or `TimeoutError`."""
        ...

    async def fetch(self, ip: str) -> Mapping[str, Any]:
        """Enrol under *ip* and return the configuration; raises `EnrolmentError`."""
        ...


class HttpEnrolment:
    """Enrols by HTTP, in a thread: resolvers and servers take their time."""

    def __init__(self, options: AgentOptions, calls: OffLoop) -> None:
        """*calls* runs the blocking part."""
        self._options = options
        self._calls = calls

    async def address(self) -> str:
        """Return this machine's address on the way to the router; raises `AgentError` or `TimeoutError`."""
        router = urllib.parse.urlsplit(self._options.url)
        host, port = router.hostname or "", router.port or _DEFAULT_PORTS[router.scheme]
        return await self._calls.call(
            "address", lambda: read_address_towards(host, port), timeout_s=self._options.fetch_timeout_s
        )

    async def fetch(self, ip: str) -> Mapping[str, Any]:
        """Enrol under *ip* and return the configuration the server has for this machine; raises `EnrolmentError`."""
        options = self._options
        request = _Request(
            options.clients_url,
            body=urllib.parse.urlencode({"client": options.client, "ip": ip}).encode(),
            timeout_s=options.fetch_timeout_s,
            max_bytes=options.max_configuration_bytes,
        )
        try:
            status, answer = await self._calls.call(
                "enrolment", request.perform, timeout_s=options.fetch_timeout_s
            )
        except TimeoutError as error:
            raise EnrolmentError(f"no whole answer within {options.fetch_timeout_s:g} s") from error
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise EnrolmentError(error_text(error)) from error
        finally:
            request.abort()
        return parse_answer(status, answer)


class _Request:
    """One POST, performed in a thread and given up from the loop."""

    def __init__(self, url: str, *, body: bytes, timeout_s: float, max_bytes: int) -> None:
        parts = urllib.parse.urlsplit(url)
        connect: Callable[..., http.client.HTTPConnection] = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = connect(parts.hostname, parts.port, timeout=timeout_s)
        self._target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        self._body = body
        self._max_bytes = max_bytes
        self._end_s = time.monotonic() + timeout_s
        # http.client forgets its socket as soon as it knows that the answer is the last one.
        self._socket: socket.socket | None = None

    def perform(self) -> tuple[int, bytes]:
        """Return status and body; raises `OSError` or `HTTPException`, and `EnrolmentError` when it is too long."""
        try:
            self._connection.connect()
            self._socket = self._connection.sock
            self._connection.request("POST", self._target, self._body, _request_headers())
            with self._connection.getresponse() as response:
                return response.status, self._read(response)
        finally:
            self._connection.close()

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        answer = bytearray()
        while chunk := response.read1(self._max_bytes + 1 - len(answer)):
            answer += chunk
            if len(answer) > self._max_bytes:
                raise EnrolmentError(f"the answer is longer than {self._max_bytes} bytes")
            if time.monotonic() > self._end_s:
                raise TimeoutError
        return bytes(answer)

    def abort(self) -> None:
        """Wake the thread, should it still wait for a server that sends a byte now and then."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                # Already closed, which is all that is wanted.
                return


def _request_headers() -> dict[str, str]:
    return {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "User-Agent": f"heliograph-agent/{heliograph.__version__}",
        "Connection": "close",
    }


def parse_answer(status: int, answer: bytes) -> dict[str, Any]:
    """Return the configuration in an HTTP *answer*; raises `EnrolmentError` telling what came instead."""
    if status != http.client.OK:
        raise EnrolmentError(f"the server answered {status}{_reason(answer)}")
    try:
        configuration = msgspec.json.decode(answer, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise EnrolmentError(f"the answer is no JSON object ({error}); is --clients-url right?") from error
    except UnicodeDecodeError as error:
        raise EnrolmentError("the answer is not UTF-8; is --clients-url right?") from error
    return configuration


def _reason(answer: bytes) -> str:
    """Return the server's own words, when it sent `{"error": …}`."""
    try:
        reason = msgspec.json.decode(answer, type=_Refusal).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "; is --clients-url right?"
    return ": " + encodable(" ".join(reason.split()), max_characters=MAX_REASON_CHARACTERS)


class _Refusal(msgspec.Struct):
    error: str
