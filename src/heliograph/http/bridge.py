"""What every path of the HTTP bridge does alike: who may ask, how the body is read, how errors are answered.

A refusal by the router or a callee is a WAMP error and is answered with status 200, as Crossbar.io does; a request
that is itself wrong gets a 4xx. Either has the body `{"error": <text or URI>, "args": [..], "kwargs": {..}}`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from heliograph.http.exchange import (
    ClientGone,
    HttpError,
    Receive,
    Scope,
    Send,
    answer,
    answer_json,
    headers_by_name,
    read_body,
)
from heliograph.http.options import PublisherLimits
from heliograph.transports.origins import OriginCheck, is_loopback_address
from heliograph.wamp.errors import INVALID_ARGUMENT, INVALID_URI, TIMEOUT, PayloadError, RequestError
from heliograph.wamp.payload import EMPTY, EncodedPayload, Payload
from heliograph.wire.serializers import serializer

METHODS = ("POST", "PUT")
_ALLOW = ", ".join((*METHODS, "OPTIONS"))
_JSON = serializer("json")
_ABSENT = msgspec.Raw(b"")


class Action(Protocol):
    """What one kind of path does with a request's body."""

    async def perform(self, body: bytes, receive: Receive) -> bytes:
        """Return the JSON of the answer.

        Args:
            body: of the request.
            receive: tells when the client has gone.

        Raises:
            ClientGone: the client went away before there was an answer.
            RequestError: the router or a callee refuses.
            msgspec.MsgspecError: the body is not what it should be.
            PayloadError: an answer cannot be expressed in JSON.
            TimeoutError: a callee did not answer in time.
        """


class BridgePath:
    """One path of the bridge, an ASGI application.

    Args:
        action: what it does.
        limits: body size and origins.
    """

    def __init__(self, action: Action, limits: PublisherLimits) -> None:
        self._action = action
        self._limits = limits
        self._origins = OriginCheck(limits.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = headers_by_name(scope["headers"])
        common = {"Cache-Control": "no-store"}
        try:
            common |= self._check_origin(scope, headers)
            if scope["method"] == "OPTIONS":
                await answer(send, 204, b"", "text/plain", {**common, **_preflight(headers)})
                return
            self._check_request(scope, headers)
            body = await read_body(headers, receive, limit_bytes=self._limits.body_limit_bytes)
            result = await self._perform(body, receive)
        except HttpError as error:
            value = {"error": error.text, "args": [], "kwargs": {}}
            await answer_json(send, error.status, value, {**common, **error.headers})
        except _Refused as refusal:
            await answer_json(send, refusal.status, refusal.value, common)
        except ClientGone:
            return
        else:
            await answer(send, 200, result, "application/json; charset=utf-8", common)

    async def _perform(self, body: bytes, receive: Receive) -> bytes:
        try:
            body.decode()
            return await self._action.perform(body, receive)
        except UnicodeDecodeError as error:
            raise HttpError(400, f"the body must be UTF-8: {error}") from error
        except msgspec.ValidationError as error:
            raise HttpError(400, f"the body is not as it should be: {error}") from error
        except (msgspec.MsgspecError, RecursionError) as error:
            raise HttpError(400, f"the body is not JSON: {error}") from error
        except RequestError as error:
            raise _Refused(400 if error.uri == INVALID_URI else 200, error.uri, error) from error
        except TimeoutError as error:
            raise _Refused(
                504, TIMEOUT, RequestError(TIMEOUT, "the callee did not answer in time")
            ) from error
        except PayloadError as error:
            raise _Refused(500, INVALID_ARGUMENT, RequestError(INVALID_ARGUMENT, str(error))) from error

    def _check_origin(self, scope: Scope, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the CORS headers of the answer; raises `HttpError` for a page that may not ask."""
        origin = headers.get("origin")
        is_loopback = is_loopback_address(scope.get("server"))
        if not self._origins.allows(origin, host=headers.get("host", ""), is_loopback=is_loopback):
            raise HttpError(
                403, f"pages from {origin} may not send requests here: name it in allowed_origins"
            )
        return {} if origin is None else {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}

    def _check_request(self, scope: Scope, headers: Mapping[str, str]) -> None:
        if scope["method"] not in METHODS:
            raise HttpError(405, f"send {' or '.join(METHODS)}, not {scope['method']}", {"Allow": _ALLOW})
        media_type, _, parameters = headers.get("content-type", "application/json").partition(";")
        if media_type.strip().lower() != "application/json":
            raise HttpError(415, f"the body must be application/json, not {media_type.strip()}")
        for parameter in parameters.split(";"):
            name, _, value = parameter.partition("=")
            charset = value.strip().strip('"').lower()
            if name.strip().lower() == "charset" and charset not in ("utf-8", "utf8"):
                raise HttpError(415, f"the body must be UTF-8, not {charset}")


class _Refused(Exception):  # noqa: N818 - an answer, not a failure
    """A WAMP error that is the answer."""

    def __init__(self, status: int, uri: str, error: RequestError) -> None:
        super().__init__(status, uri)
        self.status = status
        self.value = {"error": uri, "args": list(error.arguments), "kwargs": error.keyword_arguments}


def _preflight(headers: Mapping[str, str]) -> dict[str, str]:
    allowed = {"Allow": _ALLOW, "Access-Control-Allow-Methods": _ALLOW, "Access-Control-Max-Age": "600"}
    asked = headers.get("access-control-request-headers")
    return {**allowed, "Access-Control-Allow-Headers": asked} if asked else allowed


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
        args = _raw(self.args, b"[", "`args` must be a list")
        kwargs = _raw(self.kwargs, b"{", "`kwargs` must be an object")
        if not args and not kwargs:
            return EMPTY
        return EncodedPayload(_JSON, args or b"[]", kwargs)


def _raw(value: msgspec.Raw, opener: bytes, text: str) -> bytes:
    raw = bytes(value)
    if raw in (b"", b"null"):
        return b""
    if raw[:1] != opener:
        raise msgspec.ValidationError(text)
    return raw
