"""The connections of one attacker: WebSockets that say what no well-meant client does."""

import contextlib
import json
import socket
import struct
import threading
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import cbor2
import msgspec

MIB = 1024 * 1024
TEXT, BINARY, CLOSE, PONG = 1, 2, 8, 10
COMPRESSED = 0x40
TIMEOUT_S = 20.0

ROLES = {
    "publisher": {"features": {"payload_passthru_mode": True}},
    "subscriber": {"features": {"pattern_based_subscription": True}},
    "caller": {"features": {"payload_passthru_mode": True}},
    "callee": {"features": {"payload_passthru_mode": True, "call_canceling": True}},
}

ENCODE: dict[str, Callable[[Any], bytes]] = {
    "json": msgspec.json.encode,
    "msgpack": msgspec.msgpack.encode,
    "cbor": cbor2.dumps,
}
_DECODE: dict[str, Callable[[bytes], Any]] = {
    "json": json.loads,
    "msgpack": msgspec.msgpack.decode,
    "cbor": cbor2.loads,
}


class Ended(Exception):  # noqa: N818 - an attack may well end so
    """The router has ended the connection."""


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame; its mask is zero, so the payload stands as it is."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + bytes(4) + payload


class Member:
    """One WebSocket connection; it has joined unless it was told not to.

    Args:
        address: of the router.
        serializer: in which it speaks.
        joins: whether it says HELLO.
        deflates: whether it asks for compression.
    """

    def __init__(
        self,
        address: tuple[str, int],
        serializer: str = "json",
        *,
        joins: bool = True,
        deflates: bool = False,
    ) -> None:
        self._serializer = serializer
        self.opcode = TEXT if serializer == "json" else BINARY
        self._request = 0
        self._draining: threading.Thread | None = None
        self.socket = socket.create_connection(address, timeout=TIMEOUT_S)
        key = b64encode(bytes(16)).decode()
        extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflates else ""
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: wamp.2.{serializer}\r\n{extensions}\r\n".encode()
        )
        self._stream = self.socket.makefile("rb")
        while self._stream.readline() not in (b"\r\n", b""):
            pass
        if joins:
            self.say([1, "realm1", {"roles": ROLES}])
            assert self.hear()[0] == 2

    def say(self, *messages: Any) -> None:
        """Send messages, without waiting for anything; raises `Ended`."""
        encode = ENCODE[self._serializer]
        self.write(b"".join(frame(self.opcode, encode(message)) for message in messages))

    def write(self, data: bytes) -> None:
        """Send bytes; raises `Ended`."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Ended from error

    def hear(self) -> Any:
        """Return the next message; raises `Ended`."""
        try:
            while True:
                head = self._stream.read(2)
                if len(head) < 2 or head[0] & 15 == CLOSE:
                    raise Ended
                size = head[1] & 127
                if size == 126:
                    (size,) = struct.unpack("!H", self._stream.read(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", self._stream.read(8))
                payload = self._stream.read(size)
                if head[0] & COMPRESSED:
                    payload = zlib.decompress(payload + b"\0\0\xff\xff\3\0", -15)
                if head[0] & 15 in (TEXT, BINARY):
                    return _DECODE[self._serializer](payload)
        except OSError as error:
            raise Ended from error

    def ask(self, code: int, *rest: Any) -> Any:
        """Send a request and return its answer, ERROR perhaps; what else comes before is skipped."""
        self._request += 1
        self.say([code, self._request, *rest])
        while True:
            message = self.hear()
            if message[0] == 8 and message[2] == self._request:
                return message
            if message[0] in (17, 33, 35, 50, 65, 67) and message[1] == self._request:
                return message

    def request(self, code: int, *rest: Any) -> list[Any]:
        """Return a request with the next number."""
        self._request += 1
        return [code, self._request, *rest]

    def drain(self) -> None:
        """Read whatever comes from now on, and forget it."""

        def read() -> None:
            with contextlib.suppress(OSError, ValueError):
                while self.socket.recv(MIB):
                    pass

        self._draining = threading.Thread(target=read, daemon=True)
        self._draining.start()

    def close(self) -> None:
        """Break the connection off."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        if self._draining is not None:
            self._draining.join()
        self._stream.close()
        self.socket.close()


class Crowd:
    """The connections of one attacker.

    Args:
        address: of the router.
        scale: 1.0 for an attack as large as it is meant; less where it only has to be seen that it is bounded.
    """

    def __init__(self, address: tuple[str, int], scale: float = 1.0) -> None:
        self.address = address
        self.scale = scale
        self.members: list[Member] = []

    def count(self, number: int) -> int:
        """Return `number`, or what of it the scale leaves."""
        return max(1, int(number * self.scale))

    def join(self, serializer: str = "json", *, joins: bool = True, deflates: bool = False) -> Member:
        """Return another connection."""
        member = Member(self.address, serializer, joins=joins, deflates=deflates)
        self.members.append(member)
        return member

    def close(self) -> None:
        """Break all connections off."""
        for member in self.members:
            member.close()


@contextlib.contextmanager
def crowd(address: tuple[str, int], scale: float = 1.0) -> Iterator[Crowd]:
    """A crowd until the block ends."""
    attackers = Crowd(address, scale)
    try:
        yield attackers
    finally:
        attackers.close()
