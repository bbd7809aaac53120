"""What a client offers in its handshake, and what is spoken with it."""

from collections.abc import Sequence

from msgspec import Struct

from heliograph.transports.options import WebSocketOptions
from heliograph.transports.websocket_format import Dialect, FrameOptions, SentCompression, dialect
from heliograph.wire.batched import SUFFIX
from heliograph.wire.permessage_deflate import DeflateAgreement, DeflateWishes, agree
from heliograph.wire.serializers import serializer
from heliograph.wire.websocket_extensions import read_offers

SUBPROTOCOL_PREFIX = "wamp.2."

UNNAMED = SUBPROTOCOL_PREFIX + "json"
"""What is spoken with a client that names no subprotocol, where it may do so."""


class Agreement(Struct, frozen=True):
    """What one connection has agreed on.

    Attributes:
        subprotocol: what the answer names; None when the client named none.
        dialect: what is spoken.
        deflate: the compression, if any.
    """

    subprotocol: str | None
    dialect: Dialect
    deflate: DeflateAgreement | None


class Negotiation:
    """Finds what to speak with the clients of one endpoint.

    Args:
        serializers: those offered.
        options: compression and frames.
    """

    def __init__(self, serializers: Sequence[str], options: WebSocketOptions) -> None:
        deflate = options.compression.deflate if options.compression is not None else None
        self._wishes: DeflateWishes | None = None
        self._frame_options = FrameOptions(fragment_bytes=options.fragment_bytes)
        if deflate is not None:
            self._wishes = DeflateWishes(
                no_context_takeover=deflate.no_context_takeover,
                max_window_bits=deflate.max_window_bits,
                request_no_context_takeover=deflate.request_no_context_takeover,
                request_max_window_bits=deflate.request_max_window_bits,
            )
            self._frame_options = FrameOptions(
                fragment_bytes=options.fragment_bytes,
                least_compressed_bytes=deflate.least_compressed_bytes,
                memory_level=deflate.memory_level,
            )
        self._takes_unnamed = not options.require_websocket_subprotocol
        self._forms = subprotocols_of(serializers)
        self.subprotocols = tuple(self._forms)
        """All that are offered."""
        # Connections that agree on the same share what is made for them: there are as many as the combinations.
        self._dialects: dict[tuple[str, SentCompression | None], Dialect] = {}
        for subprotocol in self.subprotocols:
            self._dialect(subprotocol, None)

    def agree(self, subprotocols: str | None, extensions: str) -> Agreement | None:
        """Return what is agreed on; None when the client offers no subprotocol that is known here.

        Args:
            subprotocols: the header `Sec-WebSocket-Protocol`, None when there is none.
            extensions: the header `Sec-WebSocket-Extensions`, empty when there is none.

        Raises:
            ExtensionsMalformed: the handshake must fail.
        """
        is_unnamed = subprotocols is None and self._takes_unnamed
        chosen = self._first_known(UNNAMED if is_unnamed else subprotocols or "")
        if chosen is None:
            return None
        deflate = agree(read_offers(extensions), self._wishes) if self._wishes is not None else None
        # Who has sent no such header gets none either (RFC 6455, section 4.2.2).
        return Agreement(None if is_unnamed else chosen, self._dialect(chosen, deflate), deflate)

    def _first_known(self, subprotocols: str) -> str | None:
        # The client's order wins, as everywhere in the field.
        for name in subprotocols.split(","):
            if name.strip() in self.subprotocols:
                return name.strip()
        return None

    def _dialect(self, subprotocol: str, deflate: DeflateAgreement | None) -> Dialect:
        compression = (
            None
            if deflate is None
            else SentCompression(deflate.server_window_bits, deflate.server_keeps_context)
        )
        known = self._dialects.get((subprotocol, compression))
        if known is not None:
            return known
        name, is_batched = self._forms[subprotocol]
        made = dialect(serializer(name), compression, self._frame_options, is_batched=is_batched)
        self._dialects[subprotocol, compression] = made
        return made


def subprotocols_of(serializers: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """Return the subprotocols a configuration offers, each with its serializer and whether it is batched.

    Args:
        serializers: names, with `.batched` where they are.
    """
    return {
        SUBPROTOCOL_PREFIX + name: (name.removesuffix(SUFFIX), name.endswith(SUFFIX)) for name in serializers
    }
