"""`longpoll`: WAMP for clients that have nothing but HTTP requests.

A client posts `{"protocols": [..]}` to `<path>/open` and is answered with `{"protocol": .., "transport": <id>}`; to
`<path>/<id>/send` it posts messages, from `<path>/<id>/receive` it fetches them, with `<path>/<id>/close` it leaves.
"""

import asyncio
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from heliograph.http.exchange import (
    TRANSPORT_EXTENSION,
    ClientGone,
    HttpError,
    Receive,
    Scope,
    Send,
    answer,
    answer_json,
    answer_nothing,
    answer_text,
    headers_by_name,
    read_body,
)
from heliograph.transports.facts import SocketFacts
from heliograph.transports.http_trust import HttpTrust
from heliograph.transports.longpoll import LongPollConnection, LongPollService, PollRefused
from heliograph.transports.origins import ANY_ORIGIN, OriginCheck, is_loopback_address

_METHODS = "POST, OPTIONS"
_RETRY_AFTER_S = 5


class OpenRequest(msgspec.Struct):
    """Body of a request to `open`.

    Attributes:
        protocols: subprotocols, the best first.
    """

    protocols: list[str]


class LongPollPath:
    """The ASGI application of one long-poll path.

    Args:
        service: its sessions.
        trust: what is believed of requests.
    """

    def __init__(self, service: LongPollService, trust: HttpTrust) -> None:
        options = service.options
        self._service = service
        self._limit_bytes = options.options.max_message_bytes
        self._request_timeout_s = options.options.request_timeout_s
        self._origins = OriginCheck(options.options.allowed_origins, hosts=trust.hosts)
        self._proxies = trust.proxies
        # Where every page may ask, none may do so with the cookies of whoever looks at it.
        self._takes_credentials = ANY_ORIGIN not in options.options.allowed_origins
        self._decode = msgspec.json.Decoder(OpenRequest).decode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = headers_by_name(scope["headers"])
        common = {"Cache-Control": "no-store"}
        try:
            common |= self._check_origin(scope, headers)
            if scope["method"] == "OPTIONS":
                await answer_nothing(send, {**common, **_preflight(headers)})
                return
            if scope["method"] != "POST":
                raise HttpError(405, f"send POST, not {scope['method']}", {"Allow": _METHODS})
            body = await read_body(headers, receive, limit_bytes=self._limit_bytes)
            await self._perform(scope, headers, body, receive, send, common)
        except PollRefused as refusal:
            if refusal.status == 503:
                common["Retry-After"] = str(_RETRY_AFTER_S)
            await answer_text(send, refusal.status, refusal.text, common)
        except HttpError as error:
            await answer_text(send, error.status, error.text, {**common, **error.headers})
        except ClientGone:
            return

    async def _perform(
        self,
        scope: Scope,
        headers: Mapping[str, str],
        body: bytes,
        receive: Receive,
        send: Send,
        common: dict[str, str],
    ) -> None:
        match scope["path"].removeprefix(scope.get("root_path", "")).strip("/").split("/"):
            case ["open"]:
                await self._open(scope, headers, body, send, common)
            case [session_id, "send"]:
                if not body:
                    raise HttpError(400, "a message has at least one byte")
                await self._service.session(session_id).take(body)
                await answer_nothing(send, common)
            case [session_id, "receive"]:
                connection = self._service.session(session_id)
                data = await _fetch(connection, receive, self._request_timeout_s)
                if data is None:
                    await answer_nothing(send, common)
                else:
                    await answer(send, 200, data, connection.form.content_type, common)
            case [session_id, "close"]:
                self._service.session(session_id).leave()
                await answer_nothing(send, common)
            case _:
                raise HttpError(404, "post to open, <id>/send, <id>/receive or <id>/close")

    async def _open(
        self, scope: Scope, headers: Mapping[str, str], body: bytes, send: Send, common: dict[str, str]
    ) -> None:
        try:
            protocols = self._decode(body).protocols
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            text = f'the body must be {{"protocols": ["wamp.2.json", ..]}}: {error}'
            raise HttpError(400, text) from error
        facts = self._proxies.facts(_transport(scope), headers)
        cookies = self._service.cookies
        if cookies is not None:
            value, set_cookie = cookies.recognise(headers.get("cookie", ""), is_encrypted=facts.is_encrypted)
            facts = replace(facts, cookie=value)
            if set_cookie is not None:
                common = {**common, "Set-Cookie": set_cookie}
        protocol, session_id = self._service.open(protocols, facts)
        await answer_json(send, 200, {"protocol": protocol, "transport": session_id}, common)

    def _check_origin(self, scope: Scope, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the CORS headers of the answer; raises `HttpError` for a page that may not ask."""
        origin = headers.get("origin")
        allowed = self._origins.allows(
            origin,
            host=headers.get("host", ""),
            is_loopback=is_loopback_address(scope.get("server")),
            is_encrypted=scope["scheme"] == "https",
        )
        if not allowed:
            raise HttpError(
                403, f"pages from {origin} may not send requests here: name it in allowed_origins"
            )
        if origin is None:
            return {}
        told = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        if self._takes_credentials:
            told["Access-Control-Allow-Credentials"] = "true"
        return told


async def _fetch(connection: LongPollConnection, receive: Receive, timeout_s: float) -> bytes | None:
    """Return what `connection` has for its client; nothing is lost when the client goes away meanwhile."""
    fetching = asyncio.ensure_future(connection.fetch(timeout_s))
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((fetching, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not leaving.done():
            return fetching.result()
        if fetching.done() and fetching.exception() is None and (data := fetching.result()) is not None:
            connection.put_back(data)
        raise ClientGone
    finally:
        fetching.cancel()
        leaving.cancel()


def _transport(scope: Scope) -> SocketFacts:
    transport: SocketFacts = scope["extensions"][TRANSPORT_EXTENSION]["transport"]
    return transport


def _preflight(headers: Mapping[str, str]) -> dict[str, str]:
    allowed = {"Allow": _METHODS, "Access-Control-Allow-Methods": _METHODS, "Access-Control-Max-Age": "600"}
    asked = headers.get("access-control-request-headers")
    return {**allowed, "Access-Control-Allow-Headers": asked} if asked else allowed
