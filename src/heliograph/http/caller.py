"""`caller`: one POST becomes one call, its result the answer."""

import asyncio

import msgspec

from heliograph.auth.bearer import BearerToken
from heliograph.http.bridge import BridgeCounters, BridgePath, BridgeRequest
from heliograph.http.options import CallerOptions
from heliograph.routing.router import Router
from heliograph.transports.hosts import KnownHosts
from heliograph.transports.inprocess import InProcessSession
from heliograph.wamp.payload import BarePayload, Payload
from heliograph.wire.serializers import serializer

_JSON = serializer("json")


class ProcedureCall(BridgeRequest, kw_only=True):
    """Body of a request: `{"procedure": "com.example.p", "args": [..], "kwargs": {..}, "options": {..}}`."""

    procedure: str


class Calling:
    """Calls what a body says.

    Args:
        session: on whose behalf.
        timeout_s: seconds a callee may take.
    """

    def __init__(self, session: InProcessSession, *, timeout_s: float) -> None:
        self._session = session
        self._timeout_s = timeout_s
        self._decode = msgspec.json.Decoder(ProcedureCall).decode

    def begin(self, body: bytes) -> "CallUnderWay":
        """Call."""
        request = self._decode(body)
        calling = self._session.call(
            request.procedure, request.payload(), request.options or {}, timeout_s=self._timeout_s
        )
        return CallUnderWay(asyncio.get_running_loop().create_task(calling))


class CallUnderWay:
    """A call whose callee has not answered yet.

    Args:
        calling: returns the result's payload.
    """

    def __init__(self, calling: asyncio.Task[Payload]) -> None:
        self._calling = calling

    def step(self) -> bytes | asyncio.Future[Payload]:
        """Return the answer, or what to wait for."""
        return answer(self._calling.result()) if self._calling.done() else self._calling

    def abandon(self) -> None:
        """Stop the callee, too."""
        self._calling.cancel()


def answer(result: Payload) -> bytes:
    """Return `{"args": [..], "kwargs": {..}}`; empty parts are left out, no result at all is null."""
    args, kwargs = result.encoded(_JSON)
    if isinstance(result, BarePayload):
        args = b"[%b]" % args
    if args in (b"", b"[]"):
        return b'{"kwargs":%b}' % kwargs if kwargs else b'{"args":[null]}'
    return b'{"args":%b,"kwargs":%b}' % (args, kwargs) if kwargs else b'{"args":%b}' % args


def caller_path(
    options: CallerOptions, router: Router, hosts: KnownHosts, token: BearerToken | None
) -> BridgePath:
    """Return the service of a `caller` path; raises `RequestError` for an unknown realm or role."""
    session = InProcessSession(router, realm=options.realm, role=options.role)
    calling = Calling(session, timeout_s=options.options.timeout_s)
    return BridgePath({"application/json": calling.begin}, options.options, BridgeCounters(), hosts, token)
