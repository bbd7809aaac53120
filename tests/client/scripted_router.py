"""A router that does what a test tells it, on a free port."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from heliograph.wamp import messages
from heliograph.wamp.messages import (
    Abort,
    CloseDetails,
    Event,
    EventDetails,
    Goodbye,
    Hello,
    Message,
    Publish,
    Published,
    Register,
    Registered,
    Subscribe,
    Subscribed,
    Unregister,
    Unregistered,
    Unsubscribe,
    Unsubscribed,
    Welcome,
    WelcomeDetails,
)
from heliograph.wamp.payload import PlainPayload
from heliograph.wire.serializers import serializer
from heliograph.wire.serializers.serializer import Serializer

TIMEOUT_S = 10.0
"""No test waits longer for anything."""

ROLES = {
    "broker": {"features": {"event_history": True}},
    "dealer": {"features": {"call_canceling": True, "progressive_call_invocations": True}},
}

Script = Callable[["Peer", Message], Any]


class Peer(WSListener):
    """One client, as the scripted router sees it."""

    def __init__(self, router: "ScriptedRouter", chosen: Serializer) -> None:
        self.router = router
        self.serializer = chosen
        self.transport: WSTransport | None = None
        self.received: list[Message] = []
        self.pings = 0
        self.close_code: int | None = None
        self.is_closed = asyncio.Event()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.router.add(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int(frame.get_close_code())
            if self.router.answers_close:
                transport.send_close(frame.get_close_code())
                transport.disconnect()
            return
        if frame.msg_type == WSMsgType.PING:
            self.pings += 1
            transport.send_pong(frame.get_payload_as_bytes())
            self.router.note()
            return
        message = self.serializer.decode(frame.get_payload_as_bytes())
        self.received.append(message)
        self.router.script(self, message)
        self.router.note()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.is_closed.set()
        self.router.note()

    def send(self, *answers: Message) -> None:
        for answer in answers:
            self.send_bytes(self.serializer.encode(answer))

    def send_bytes(self, data: bytes, *, kind: WSMsgType | None = None, fin: bool = True) -> None:
        assert self.transport is not None
        default = WSMsgType.BINARY if self.serializer.is_binary else WSMsgType.TEXT
        self.transport.send(default if kind is None else kind, data, fin)

    def close(self, code: WSCloseCode, reason: str = "") -> None:
        assert self.transport is not None
        self.transport.send_close(code, reason)

    def drop(self) -> None:
        assert self.transport is not None
        self.transport.disconnect(False)

    def names(self) -> list[str]:
        return [type(message).__name__ for message in self.received]


def obedient(peer: Peer, message: Message) -> None:
    """What a router does that likes everything; a subscription's id is 100 + its number."""
    match message:
        case Hello():
            peer.send(Welcome(peer.router.next_id(), WelcomeDetails(roles=ROLES)))
        case Subscribe(request=request, topic=topic):
            peer.send(Subscribed(request, peer.router.id_of(topic)))
        case Unsubscribe(request=request):
            peer.send(Unsubscribed(request))
        case Register(request=request, procedure=procedure):
            peer.send(Registered(request, peer.router.id_of(procedure)))
        case Unregister(request=request):
            peer.send(Unregistered(request))
        case Publish(request=request, options=options) if options.acknowledge:
            peer.send(Published(request, 4711))
        case messages.Call(request=request, payload=payload):
            peer.send(messages.Result(request, messages.ResultDetails(), payload))
        case Goodbye():
            peer.send(Goodbye(CloseDetails(), "wamp.close.goodbye_and_out"))


class ScriptedRouter:
    """Answers each message by `script`; remembers everybody who came."""

    def __init__(self) -> None:
        self.script: Script = obedient
        self.peers: list[Peer] = []
        self.port = 0
        self.answers_close = True
        self.subprotocol: str | None = None
        self.refuses_with: WSUpgradeResponse | None = None
        self.upgrades: list[WSUpgradeRequest] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ids = 0
        self._uris: dict[str, int] = {}
        self.host = "127.0.0.1"
        self.tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ws' if self.tls is None else 'wss'}://{host}:{self.port}/ws"

    @property
    def peer(self) -> Peer:
        return self.peers[-1]

    def next_id(self) -> int:
        self._ids += 1
        return self._ids

    def id_of(self, uri: str) -> int:
        return self._uris.setdefault(uri, 100 + len(self._uris))

    def event(self, topic: str, *args: Any, publication: int = 1, **kwargs: Any) -> Event:
        return Event(self.id_of(topic), publication, EventDetails(), PlainPayload(args, kwargs))

    def add(self, peer: Peer) -> None:
        self.peers.append(peer)
        self.note()

    def note(self) -> None:
        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.get_running_loop().create_task(notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something at the router makes `condition` true."""
        async with asyncio.timeout(TIMEOUT_S), self._changed:
            await self._changed.wait_for(lambda: bool(condition()))

    async def start(self) -> None:
        self._server = await ws_create_server(
            self._accept, self.host, self.port, ssl=self.tls, enable_auto_pong=False
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for peer in self.peers:
                if not peer.is_closed.is_set():
                    peer.drop()
            self._server = None
        for peer in self.peers:
            async with asyncio.timeout(TIMEOUT_S):
                await peer.is_closed.wait()
        await asyncio.gather(*self._tasks)

    def _accept(self, request: WSUpgradeRequest) -> Any:
        self.upgrades.append(request)
        if self.refuses_with is not None:
            return WSUpgradeResponseWithListener(self.refuses_with, None)
        offered = request.headers.get("sec-websocket-protocol", "").split(", ")
        chosen = self.subprotocol or offered[0]
        response = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": chosen})
        name = chosen.removeprefix("wamp.2.")
        return WSUpgradeResponseWithListener(
            response, Peer(self, serializer(name if name in NAMES else "json"))
        )


NAMES = ("json", "msgpack", "cbor")


async def eventually(happens: Awaitable[Any]) -> Any:
    async with asyncio.timeout(TIMEOUT_S):
        return await happens


def refusing(uri: str, text: str | None = None) -> Script:
    def script(peer: Peer, message: Message) -> None:
        if isinstance(message, Hello):
            peer.send(Abort(CloseDetails(message=text), uri))

    return script


class InstantClock:
    """Sleeps no time at all, but remembers how long it should have."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses: list[float] = []
        self._slept = asyncio.Event()

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.pauses.append(delay_s)
        self._slept.set()
        await asyncio.sleep(0)

    async def until_pauses(self, count: int) -> None:
        """Wait until there have been `count` pauses."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.pauses) < count:
                self._slept.clear()
                await self._slept.wait()
