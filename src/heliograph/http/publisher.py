"""`publisher`: one POST becomes one event."""

import msgspec

from heliograph.http.bridge import BridgePath, BridgeRequest
from heliograph.http.exchange import Receive
from heliograph.http.options import PublisherOptions
from heliograph.routing.router import Router
from heliograph.transports.inprocess import InProcessSession


class Publication(BridgeRequest, kw_only=True):
    """Body of a request: `{"topic": "com.example.t", "args": [..], "kwargs": {..}, "options": {..}}`."""

    topic: str


class Publishing:
    """Publishes what a body says.

    Args:
        session: on whose behalf.
    """

    def __init__(self, session: InProcessSession) -> None:
        self._session = session
        self._decode = msgspec.json.Decoder(Publication).decode

    async def perform(self, body: bytes, _receive: Receive) -> bytes:
        """Publish and return `{"id": <publication>}`."""
        request = self._decode(body)
        publication = await self._session.publish(request.topic, request.payload(), request.options or {})
        return b'{"id":%d}' % publication


def publisher_path(options: PublisherOptions, router: Router) -> BridgePath:
    """Return the ASGI application of a `publisher` path; raises `RequestError` for an unknown realm or role."""
    session = InProcessSession(router, realm=options.realm, role=options.role)
    return BridgePath(Publishing(session), options.options)
