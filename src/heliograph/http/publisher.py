"""`publisher`: one POST becomes one event."""

import asyncio

import msgspec

from heliograph.http.bridge import BridgePath, BridgeRequest
from heliograph.http.lane import Work
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
        self._publish = session.publish
        self._decode = msgspec.json.Decoder(Publication).decode

    def begin(self, body: bytes) -> bytes | Work:
        """Publish and return `{"id": <publication>}`."""
        request = self._decode(body)
        publication = self._publish(request.topic, request.payload(), request.options)
        if isinstance(publication, int):
            return b'{"id":%d}' % publication
        return Undecided(publication)


class Undecided:
    """A publication whose permission has to be waited for.

    Args:
        publication: its id, when it is published.
    """

    def __init__(self, publication: asyncio.Future[int]) -> None:
        self._publication = publication

    def step(self) -> bytes | asyncio.Future[int]:
        """Return `{"id": <publication>}`, or what to wait for."""
        return b'{"id":%d}' % self._publication.result() if self._publication.done() else self._publication

    def abandon(self) -> None:
        """Wait no longer; what is allowed later is published all the same, and nobody hears of its id."""
        self._publication.cancel()


def publisher_path(options: PublisherOptions, router: Router) -> BridgePath:
    """Return the service of a `publisher` path; raises `RequestError` for an unknown realm or role."""
    session = InProcessSession(router, realm=options.realm, role=options.role)
    return BridgePath(Publishing(session), options.options)
