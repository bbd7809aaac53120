"""WebSocket handshakes that are told by their bytes: clients of one program send the same, but for the key.

After a restart of the router a whole fleet comes back at once. To parse a handshake, judge it and make its answer takes
50 µs; to look it up takes one.
"""

import re

from msgspec import Struct

from heliograph.transports.websocket_service import Opening, WebSocketService

KNOWN_HANDSHAKES = 64
"""Handshakes that are remembered for a port; one more, and all are learned anew."""

LONGEST_KNOWN_BYTES = 1024
"""Of a handshake that is remembered. Those of browsers are longer, and no two of them are alike."""

_HEAD_END = b"\r\n\r\n"
_BEFORE_KEY = b"\r\nSec-WebSocket-Key: "
_KEY_BYTES = 24
# "a base64-encoded value that, when decoded, is 16 bytes in length" (RFC 6455, section 4.2.1)
_is_key = re.compile(rb"[A-Za-z0-9+/]{22}==").fullmatch


class FoundHandshake(Struct, frozen=True):
    """A handshake that is known.

    Attributes:
        service: takes the connection over.
        opening: how it is opened.
        key: what differs from one client to another.
        early: bytes that came behind it.
    """

    service: WebSocketService
    opening: Opening
    key: bytes
    early: bytes


class KnownHandshakes:
    """Those of one port that were accepted.

    The parser has read each of them, and its head and its wish were judged, as the first request of a connection
    and on its own: another of the same bytes would be taken, too. None says who its client is.
    """

    __slots__ = ("_openings",)

    def __init__(self) -> None:
        # By what stands before the key and behind it.
        self._openings: dict[tuple[bytes, bytes], tuple[WebSocketService, Opening]] = {}

    def find(self, data: bytes) -> FoundHandshake | None:
        """Return the handshake that a connection's first bytes are; None if it is not known, or not whole."""
        head, is_whole, early = data.partition(_HEAD_END)
        before, _, behind = head.partition(_BEFORE_KEY)
        known = self._openings.get((before, behind[_KEY_BYTES:]))
        key = behind[:_KEY_BYTES]
        if known is None or not is_whole or not _is_key(key):
            return None
        return FoundHandshake(*known, key, early)

    def remember(self, head: bytes, service: WebSocketService, opening: Opening) -> None:
        """Know a handshake from now on.

        Args:
            head: all of it, as it came, first of its connection.
            service: has accepted it.
            opening: how, whatever the key.
        """
        if len(head) > LONGEST_KNOWN_BYTES or head.find(_HEAD_END) != len(head) - len(_HEAD_END):
            return
        before, _, behind = head[: -len(_HEAD_END)].partition(_BEFORE_KEY)
        if _is_key(behind[:_KEY_BYTES]):
            if len(self._openings) >= KNOWN_HANDSHAKES:
                self._openings.clear()
            self._openings[before, behind[_KEY_BYTES:]] = service, opening
