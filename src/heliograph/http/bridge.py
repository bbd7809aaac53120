"""What every path of the HTTP bridge does alike: who may ask, how the body is read, how errors are answered.

A refusal by the router or a callee is a WAMP error and is answered with status 200, as Crossbar.io does; a request
that is itself wrong gets a 4xx. Either has the body `{"error": <text or URI>, "args": [..], "kwargs": {..}}`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from heliograph.auth.bearer import BearerToken
from heliograph.http.exchange import HttpError
from heliograph.http.lane import Begin, LaneRequest, Refusal, Work
from heliograph.http.options import BridgeLimits
from heliograph.transports.hosts import KnownHosts
from heliograph.transports.origins import OriginCheck, is_loopback_address
from heliograph.wamp.errors import (
    INVALID_ARGUMENT,
    INVALID_URI,
    TIMEOUT,
    PayloadError,
    RequestError,
    shortened,
)
from heliograph.wamp.payload import EMPTY, EncodedPayload, Payload
from heliograph.wire.serializers import serializer

METHODS = ("POST", "PUT")
_ALLOW = ", ".join((*METHODS, "OPTIONS"))
_JSON = serializer("json")
_JSON_TYPE = b"application/json"
_NO_STORE = b"cache-control: no-store\r\n"
_UNPROVED = "this path needs a token: send `Authorization: Bearer <token>`"
_PROVED_WRONGLY = "the token in `Authorization` is not this path's token"
_ABSENT = msgspec.Raw(b"")
_NOTHING: Mapping[str, Any] = {}


class BridgeCounters(msgspec.Struct):
    """Running totals of one path of the bridge."""

    requests: int = 0
    """Requests whose body was read."""
    requests_refused: int = 0
    """Requests answered with an error."""
    requests_unauthorized: int = 0
    """Requests without the path's token, or with another one."""
    batches: int = 0
    """Bodies of many events."""
    events: int = 0
    """Events published out of such bodies."""
    events_refused: int = 0
    """Events in them that were answered with an error."""


class BridgePath:
    """One path of the bridge, a service of the lane.

    Args:
        media_types: in lower case, to what is done with such a body.
        limits: body size and origins.
        counters: where requests are counted.
        hosts: by which this server is known.
        token: what a request must carry; None asks for nothing.
    """

    def __init__(
        self,
        media_types: Mapping[str, Begin],
        limits: BridgeLimits,
        counters: BridgeCounters,
        hosts: KnownHosts,
        token: BearerToken | None,
    ) -> None:
        self.counters = counters
        self._token = token
        self._media_types = media_types
        self._begin_json = media_types["application/json"]
        self.limit_bytes = limits.body_limit_bytes
        self._origins = OriginCheck(limits.allowed_origins, hosts=hosts)

    def admit(self, request: LaneRequest, headers: Mapping[bytes, bytes]) -> None:
        """Let a request in by its origin, token, method and media type; raises `HttpError`."""
        request.header_lines = _NO_STORE
        origin = headers.get(b"origin")
        if origin is not None:
            self._check_origin(request, origin, headers)
        if request.method == b"OPTIONS":
            # A browser asks without the token whether its page may send one.
            request.header_lines += _preflight(headers)
            request.answer(204, b"")
            return
        if self._token is not None:
            self._check_token(self._token, headers.get(b"authorization"))
        if request.method != b"POST" and request.method.decode() not in METHODS:
            raise HttpError(
                405, f"send {' or '.join(METHODS)}, not {request.method.decode()}", {"Allow": _ALLOW}
            )
        content_type = headers.get(b"content-type", _JSON_TYPE)
        if content_type == _JSON_TYPE:
            request.begin = self._begin_json
        else:
            request.begin = self._begin_of(content_type.decode("latin-1"))

    def perform(self, begin: Begin, body: bytes) -> bytes | Work:
        """Do what the body asks."""
        self.counters.requests += 1
        if not body.isascii():
            # msgspec skips over raw payload without looking at its UTF-8.
            body.decode()
        return begin(body)

    def refusal(self, error: BaseException) -> Refusal | None:
        """Return what is answered for `error`."""
        self.counters.requests_refused += 1
        return refusal(error)

    def _begin_of(self, content_type: str) -> Begin:
        media_type, _, parameters = content_type.strip().partition(";")
        begin = self._media_types.get(media_type.strip().lower())
        if begin is None:
            raise HttpError(
                415, f"the body must be {' or '.join(self._media_types)}, not {media_type.strip()}"
            )
        for parameter in parameters.split(";"):
            name, _, value = parameter.partition("=")
            charset = value.strip().strip('"').lower()
            if name.strip().lower() == "charset" and charset not in ("utf-8", "utf8"):
                raise HttpError(415, f"the body must be UTF-8, not {charset}")
        return begin

    def _check_token(self, token: BearerToken, authorization: bytes | None) -> None:
        """Raise `HttpError` for a request that does not carry the token."""
        if authorization is None:
            self.counters.requests_unauthorized += 1
            raise HttpError(401, _UNPROVED, {"WWW-Authenticate": "Bearer"})
        if not token.is_proved_by(authorization):
            self.counters.requests_unauthorized += 1
            # RFC 6750, section 3.1
            raise HttpError(401, _PROVED_WRONGLY, {"WWW-Authenticate": 'Bearer error="invalid_token"'})

    def _check_origin(self, request: LaneRequest, raw_origin: bytes, headers: Mapping[bytes, bytes]) -> None:
        """Tell a page that it may ask; raises `HttpError` for one that may not."""
        origin = raw_origin.decode("latin-1").strip()
        host = headers.get(b"host", b"").decode("latin-1").strip()
        is_loopback = is_loopback_address(request.server_address)
        is_encrypted = request.is_encrypted
        if not self._origins.allows(origin, host=host, is_loopback=is_loopback, is_encrypted=is_encrypted):
            raise HttpError(
                403, f"pages from {origin} may not send requests here: name it in allowed_origins"
            )
        request.header_lines += b"access-control-allow-origin: %b\r\nvary: Origin\r\n" % origin.encode(
            "latin-1"
        )


def refusal(error: BaseException) -> Refusal | None:
    """Return what is answered for `error`, None for a defect of ours."""
    if isinstance(error, HttpError):
        return _refusal(error.status, error.text, headers=error.headers)
    if isinstance(error, RequestError):
        status = 400 if error.uri == INVALID_URI else 200
        return _refusal(status, error.uri, error.arguments, error.keyword_arguments)
    if isinstance(error, UnicodeDecodeError):
        return _refusal(400, f"the body must be UTF-8: {error}")
    if isinstance(error, msgspec.ValidationError):
        return _refusal(400, shortened(f"the body is not as it should be: {error}"))
    if isinstance(error, msgspec.MsgspecError | RecursionError):
        return _refusal(400, shortened(f"the body is not JSON: {error}"))
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
    try:
        body = _JSON.encode_value({"error": error, "args": list(args), "kwargs": dict(kwargs)})
    except PayloadError as unfit:
        # A callee may have answered in another format.
        text = f"the error's arguments cannot reach the caller: {unfit}"
        body = _JSON.encode_value({"error": error, "args": [text], "kwargs": {}})
    return Refusal(status, body, headers)


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
        # A copy: the rest of the body, which the raw value is a part of, is not kept with it.
        args = bytes(self.args)
        if not args.startswith(b"["):
            args = _absent(args, "`args` must be a list")
        if self.kwargs is _ABSENT:
            return EncodedPayload(_JSON, args, b"") if args else EMPTY
        kwargs = bytes(self.kwargs)
        if not kwargs.startswith(b"{"):
            kwargs = _absent(kwargs, "`kwargs` must be an object")
        return EncodedPayload(_JSON, args or b"[]", kwargs) if args or kwargs else EMPTY


def _absent(raw: bytes, text: str) -> bytes:
    """Return nothing for what stands for nothing; raises `msgspec.ValidationError` with `text` for all else."""
    if raw in (b"", b"null"):
        return b""
    raise msgspec.ValidationError(text)
