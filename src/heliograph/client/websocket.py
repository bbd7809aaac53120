"""The client's one adapter to picows: messages over a WebSocket."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import cast

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSInvalidStatusError,
    WSListener,
    WSMsgType,
    WSParsedURL,
    WSProtocolError,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    ws_connect,
)

from heliograph.client.address import Address
from heliograph.client.errors import ConnectFailed
from heliograph.client.link import Receiver
from heliograph.client.options import ClientOptions
from heliograph.client.sockets import connected_socket, explained
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Message
from heliograph.wire.serializers.serializer import Serializer
from heliograph.wire.websocket import BINARY, TEXT, MessageReader, WebSocketViolation

logger = logging.getLogger("heliograph.client")

SUBPROTOCOL = "wamp.2."

_HTTP_TEMPORARY = (408, 425, 429)
_OTHER_PATH = " (is the path right?)"  # a page, nothing, or a bridge is there
_HINTS = {200: _OTHER_PATH, 403: " (is this origin allowed?)", 404: _OTHER_PATH, 405: _OTHER_PATH}
_SHOWN_BODY_BYTES = 200


class WebSocketLink(WSListener):
    """One WebSocket to a router, sending and receiving WAMP messages.

    Args:
        serializer: the serializer that was agreed upon.
        receiver: who takes the messages.
        options: limits and timeouts.
    """

    def __init__(self, serializer: Serializer, receiver: Receiver, options: ClientOptions) -> None:
        self.serializer = serializer
        self._receiver = receiver
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._frame_type = WSMsgType.BINARY if serializer.is_binary else WSMsgType.TEXT
        self._reader = MessageReader(BINARY if serializer.is_binary else TEXT, options.max_message_bytes)
        self._transport: WSTransport | None = None
        self._is_closing = False
        self._close_code = WSCloseCode.OK
        self._writable = asyncio.Event()
        self._writable.set()
        self._abort_timer: asyncio.TimerHandle | None = None

    # What the protocol and the session do with it

    def send(self, message: Message) -> None:
        """Send `message`; raises `PayloadError` when it cannot be expressed."""
        if self._transport is not None:
            self._transport.send(self._frame_type, self.serializer.encode(message))

    async def writable(self) -> None:
        """Wait until what is unsent is below the high-water mark, or the connection is gone."""
        await self._writable.wait()

    @property
    def is_writable(self) -> bool:
        """Whether what is unsent is below the high-water mark."""
        return self._writable.is_set()

    def close(self) -> None:
        """Send what waits, then CLOSE; cut the connection when the other side does not finish in time."""
        if self._is_closing or self._transport is None:
            return
        self._is_closing = True
        self._transport.send_close(self._close_code)
        # The TCP connection is left for the router to close: closing it with events unread would make the kernel
        # reset it, and the router might never read our last messages.
        self._abort_timer = self._loop.call_later(self._options.close_timeout_s, self.abort)

    def abort(self) -> None:
        """Cut the connection at once; what is unsent is lost."""
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.disconnect(graceful=False)

    async def wait_closed(self) -> None:
        """Wait until the connection is gone; raises what a defect in receiving raised, if anything."""
        if self._transport is None:
            return
        try:
            await self._transport.wait_disconnected()
        except WSProtocolError as error:
            logger.debug("the router broke the WebSocket protocol: %s", error)  # `lost` has told the session

    # What picows calls

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Take the connection over."""
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=self._options.write_high_water_bytes)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame."""
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            self._receiver.lost(self._reason(transport))
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            return
        if self._is_closing or kind in (WSMsgType.PING, WSMsgType.PONG):
            return
        try:
            # A copy, for picows uses its buffer again.
            data = self._reader.read(
                cast(int, kind),  # an IntEnum, which picows' types do not tell
                frame.get_payload_as_bytes(),
                fin=frame.fin,
                reserved=frame.rsv1 or frame.rsv2 or frame.rsv3,
            )
            if data is not None:
                self._receiver.receive(self.serializer.decode(data))
        except WebSocketViolation as violation:
            self._close_code = WSCloseCode(violation.close_code)
            self._receiver.lost(f"the router broke the WebSocket protocol: {violation.reason}")
        except ProtocolViolation as violation:
            self._close_code = WSCloseCode.PROTOCOL_ERROR
            self._receiver.violated(violation)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Tell everybody that the connection is gone."""
        self._is_closing = True
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self._writable.set()
        self._receiver.lost(self._reason(transport))

    def pause_writing(self) -> None:
        """The transport holds more than the high-water mark."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The transport has room again."""
        self._writable.set()

    @staticmethod
    def _reason(transport: WSTransport) -> str:
        handshake = transport.close_handshake
        if handshake is None:
            return "the connection to the router broke"
        if handshake.recv is not None and handshake.recv_then_sent:
            code, reason = handshake.recv.code, handshake.recv.reason
            return f"the router closed the connection: {code:d} {reason}".rstrip()
        if handshake.sent is not None:
            code, reason = handshake.sent.code, handshake.sent.reason
            return f"this side closed the connection: {code:d} {reason}".rstrip()
        return "the connection was closed"


async def open_websocket(
    address: Address,
    *,
    serializers: Sequence[Serializer],
    receiver: Receiver,
    options: ClientOptions,
    ssl_context: ssl.SSLContext | None,
    headers: Mapping[str, str],
) -> WebSocketLink:
    """Open a WebSocket that speaks one of `serializers`.

    Raises:
        ConnectFailed: it did not open; the text says what to check.
    """

    def listener(_request: WSUpgradeRequest, response: WSUpgradeResponse) -> WebSocketLink:
        chosen = response.headers.get("sec-websocket-protocol", "")
        for serializer in serializers:
            if chosen == SUBPROTOCOL + serializer.name:
                return WebSocketLink(serializer, receiver, options)
        offered = ", ".join(SUBPROTOCOL + serializer.name for serializer in serializers)
        raise WSHandshakeError(f"the server chose the subprotocol {chosen!r}; offered were {offered}")

    opened: list[socket.socket] = []

    async def socket_factory(_url: WSParsedURL) -> socket.socket:
        opened.append(await connected_socket(address, options.open_timeout_s))
        return opened[0]

    try:
        async with asyncio.timeout(options.open_timeout_s):
            transport, link = await ws_connect(
                listener,
                address.websocket_url,
                ssl_context=ssl_context,
                websocket_handshake_timeout=None,
                enable_auto_ping=True,
                auto_ping_idle_timeout=options.ping_interval_s,
                auto_ping_reply_timeout=options.ping_timeout_s,
                max_frame_size=options.max_message_bytes,
                extra_headers={
                    **headers,
                    "Sec-WebSocket-Protocol": ", ".join(SUBPROTOCOL + each.name for each in serializers),
                },
                max_redirects=0,
                socket_factory=socket_factory,
                use_aiofastnet=False,
            )
    except (WSError, OSError) as error:
        _hang_up(opened)
        raise _explained(error, address, options) from error
    except BaseException:
        _hang_up(opened)
        raise
    if not isinstance(link, WebSocketLink):
        # picows reports a connection that closes during the handshake as opened, without a listener.
        transport.disconnect(graceful=False)
        hint = "" if address.is_tls else " (is it wss:// there?)"
        raise ConnectFailed(f"{address.shown} closed the connection during the WebSocket handshake{hint}")
    return link


def _hang_up(opened: list[socket.socket]) -> None:
    """Make picows' transport see the end of a handshake that nobody waits for any more: it offers no other way."""
    for each in opened:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue  # closed already


def _explained(error: WSError | OSError, address: Address, options: ClientOptions) -> ConnectFailed:
    """Return `error` with what to check."""
    if isinstance(error, WSInvalidStatusError) and error.response is not None:
        return _status_refused(error, int(error.response.status), address.shown)
    if isinstance(error, WSError):
        text = f"{address.shown} does not speak WAMP over WebSocket: {error}"
        return ConnectFailed(text, is_temporary=False)
    return explained(error, address, options.open_timeout_s)


def _status_refused(error: WSInvalidStatusError, status: int, shown: str) -> ConnectFailed:
    body = (error.raw_body or b"")[:_SHOWN_BODY_BYTES].decode(errors="replace").strip()
    text = f"{shown} answered HTTP {status}{_HINTS.get(status, '')}"
    return ConnectFailed(
        f"{text}: {body}" if body else text, is_temporary=status >= 500 or status in _HTTP_TEMPORARY
    )
