"""What every path of the HTTP bridge does alike: who may ask, how the body is read, how errors are answered.

A refusal by the router or a callee is a WAMP error and is answered with status 200, as Crossbar.io does; a request
that is itself wrong gets a 4xx. Either has the body `{"error": <text or URI>, "args": [..], "kwargs": {..}}`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from heliograph.http.exchange import HttpError
from heliograph.http.lane import LaneRequest, Refusal, Work
from heliograph.http.options import PublisherLimits
from heliograph.transports.origins import OriginCheck, is_loopback_address
from heliograph.wamp.errors import INVALID_ARGUMENT, INVALID_URI, TIMEOUT, PayloadError, RequestError
from heliograph.wamp.payload import EMPTY, EncodedPayload, Payload
from heliograph.wire.serializers import serializer

METHODS = ("POST", "PUT")
_ALLOW = ", ".join((*METHODS, "OPTIONS"))
_JSON = serializer("json")
_JSON_TYPE = b"application/json"
_NO_STORE = b"cache-control: no-store\r\n"
_ABSENT = msgspec.Raw(b"")
_NOTHING: Mapping[str, Any] = {}


class Action(Protocol):
    """What one kind of path does with a request's body."""

    def begin(self, body: bytes) -> bytes | Work:
        """Return the JSON of the answer, or what has to be done for it.

        Args:
            body: of the request, in UTF-8.

        Raises:
            RequestError: the router or a callee refuses.
            msgspec.MsgspecError: the body is not what it should be.
            PayloadError: an answer cannot be expressed in JSON.
            TimeoutError: a callee did not answer in time.
        """


class BridgePath:
    """One path of the bridge, a service of the lane.

    Args:
        action: what it does.
        limits: body size and origins.
    """

    def __init__(self, action: Action, limits: PublisherLimits) -> None:
        self._begin = action.begin
        self.limit_bytes = limits.body_limit_bytes
        self._origins = OriginCheck(limits.allowed_origins)

    def admit(self, request: LaneRequest, headers: Mapping[bytes, bytes]) -> None:
        """Let a request in by its origin, method and media type; raises `HttpError`."""
        request.header_lines = _NO_STORE
        origin = headers.get(b"origin")
        if origin is not None:
            self._check_origin(request, origin, headers)
        if request.method != b"POST":
            if request.method == b"OPTIONS":
                request.header_lines += _preflight(headers)
                request.answer(204, b"", b"text/plain")
                return
            if request.method.decode() not in METHODS:
                raise HttpError(
                    405, f"send {' or '.join(METHODS)}, not {request.method.decode()}", {"Allow": _ALLOW}
                )
        content_type = headers.get(b"content-type", _JSON_TYPE)
        if content_type != _JSON_TYPE:
            _check_content_type(content_type.decode("latin-1"))

    def perform(self, _request: LaneRequest, body: bytes) -> bytes | Work:
        """Do what the body asks."""
        if not body.isascii():
            # msgspec skips over raw payload without looking at its UTF-8.
            body.decode()
        return self._begin(body)

    def refusal(self, error: Exception) -> Refusal | None:
        """Return what is answered for `error`."""
        return refusal(error)

    def _check_origin(self, request: LaneRequest, raw_origin: bytes, headers: Mapping[bytes, bytes]) -> None:
        """Tell a page that it may ask; raises `HttpError` for one that may not."""
        origin = raw_origin.decode("latin-1").strip()
        host = headers.get(b"host", b"").decode("latin-1").strip()
        is_loopback = is_loopback_address(request.server_address)
        if not self._origins.allows(origin, host=host, is_loopback=is_loopback):
            raise HttpError(
                403, f"pages from {origin} may not send requests here: name it in allowed_origins"
            )
        request.header_lines += b"access-control-allow-origin: %b\r\nvary: Origin\r\n" % origin.encode(
            "latin-1"
        )


def _check_content_type(content_type: str) -> None:
    media_type, _, parameters = content_type.strip().partition(";")
    if media_type.strip().lower() != "application/json":
        raise HttpError(415, f"the body must be application/json, not {media_type.strip()}")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        charset = value.strip().strip('"').lower()
        if name.strip().lower() == "charset" and charset not in ("utf-8", "utf8"):
            raise HttpError(415, f"the body must be UTF-8, not {charset}")


def refusal(error: Exception) -> Refusal | None:
    """Return what is answered for `error`, None for a defect of ours."""
    if isinstance(error, HttpError):
        return _refusal(error.status, error.text, headers=error.headers)
    if isinstance(error, RequestError):
        status = 400 if error.uri == INVALID_URI else 200
        return _refusal(status, error.uri, error.arguments, error.keyword_arguments)
    if isinstance(error, UnicodeDecodeError):
        return _refusal(400, f"the body must be UTF-8: {error}")
    if isinstance(error, msgspec.ValidationError):
        return _refusal(400, f"the body is not as it should be: {error}")
    if isinstance(error, msgspec.MsgspecError | RecursionError):
        return _refusal(400, f"the body is not JSON: {error}")
    if isinstance(error, TimeoutError):
        return _refusal(504, TIMEOUT, ["the callee did not answer in time"])
    if isinstance(error, PayloadError):
        return _refusal(500, INVALID_ARGUMENT, [str(error)])
    return None


def _refusal(
    status: int,
    error: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] = _NOTHING,
    headers: Mapping[str, str] = _NOTHING,
) -> Refusal:
    return Refusal(status, {"error": error, "args": list(args), "kwargs": kwargs}, headers)


def _preflight(headers: Mapping[bytes, bytes]) -> bytes:
    asked = headers.get(b"access-control-request-headers", b"").strip()
    lines = b"allow: %b\r\naccess-control-allow-methods: %b\r\naccess-control-max-age: 600\r\n"
    allowed = lines % (_ALLOW.encode(), _ALLOW.encode())
    return b"%baccess-control-allow-headers: %b\r\n" % (allowed, asked) if asked else allowed


class BridgeRequest(msgspec.Struct):
    """The part of a body that publisher and caller have in common.

    Attributes:
        args: a list, left unread.
        kwargs: an object, left unread.
        options: of PUBLISH or CALL.
    """

    args: msgspec.Raw = _ABSENT
    kwargs: msgspec.Raw = _ABSENT
    options: dict[str, Any] | None = None

    def payload(self) -> Payload:
        """Return args and kwargs as a payload; raises `msgspec.ValidationError` unless they are list and object."""
        args = b"" if self.args is _ABSENT else _raw(self.args, b"[", "`args` must be a list")
        kwargs = b"" if self.kwargs is _ABSENT else _raw(self.kwargs, b"{", "`kwargs` must be an object")
        if not args and not kwargs:
            return EMPTY
        return EncodedPayload(_JSON, args or b"[]", kwargs)


def _raw(value: msgspec.Raw, opener: bytes, text: str) -> bytes:
    # A copy: the rest of the body, which the raw value is a part of, is not kept with it.
    raw = bytes(value)
    if raw.startswith(opener):
        return raw
    if raw == b"null":
        return b""
    raise msgspec.ValidationError(text)
