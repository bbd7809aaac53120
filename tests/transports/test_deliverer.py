"""One event to many outboxes."""

import asyncio
from typing import Any

import pytest

from heliograph.routing.work import READ_BYTES_A_UNIT
from heliograph.transports.deliverer import OutboxDeliverer, WireFormat
from heliograph.transports.turn import BYTES_A_UNIT, WORK_BUDGET, Turn
from heliograph.transports.websocket_format import MessageFormat, WebSocketFormat
from heliograph.wamp.errors import PayloadError
from heliograph.wamp.messages import Event, EventDetails
from heliograph.wamp.payload import EncodedPayload, Payload
from heliograph.wire.serializers import serializer

JSON, MSGPACK = serializer("json"), serializer("msgpack")


class CountingFormat(WebSocketFormat):
    encoded = 0

    def frame(self, message: Any) -> bytes:
        self.encoded += 1
        return super().frame(message)


class Peer:
    def __init__(self, wire_format: WireFormat) -> None:
        self.wire_format = wire_format
        self.outbox: list[bytes] = []
        self.flushes = 0

    def flush(self) -> int:
        self.flushes += 1
        self.outbox.clear()
        return 1


def event(payload: Payload) -> Event:
    return Event(1, 2, EventDetails(), payload)


@pytest.fixture
async def turn() -> Turn:
    return Turn(asyncio.get_running_loop())


async def test_an_event_is_encoded_once_a_format_and_the_bytes_are_shared(turn: Turn) -> None:
    json, msgpack = CountingFormat(JSON), CountingFormat(MSGPACK)
    peers: list[Any] = [Peer(json), Peer(msgpack), Peer(json), Peer(msgpack)]
    OutboxDeliverer(turn).deliver([(event(EncodedPayload(JSON, b"[1]", b"")), peers)])
    assert (json.encoded, msgpack.encoded) == (1, 1)
    assert peers[0].outbox[0] is peers[2].outbox[0]
    assert peers[0].outbox == [
        b"\x81\x0c[36,1,2,{},[1]]"[:1] + bytes([len(b"[36,1,2,{},[1]]")]) + b"[36,1,2,{},[1]]"
    ]
    assert peers[1].outbox == [b"\x82\x07\x95\x24\x01\x02\x80\x91\x01"]


async def test_a_peer_is_flushed_once_a_turn_however_many_events_it_is_sent(turn: Turn) -> None:
    peer: Any = Peer(CountingFormat(JSON))
    for _ in range(3):
        OutboxDeliverer(turn).deliver([(event(EncodedPayload(JSON, b"[]", b"")), [peer])])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert peer.flushes == 1


async def test_nobody_receives_what_one_format_cannot_express(turn: Turn) -> None:
    peers: list[Any] = [Peer(WebSocketFormat(JSON)), Peer(WebSocketFormat(MSGPACK))]
    with pytest.raises(PayloadError):
        OutboxDeliverer(turn).deliver([(event(EncodedPayload(JSON, b"[1e999]", b"")), peers)])
    assert [peer.outbox for peer in peers] == [[], []]


async def test_nobody_to_deliver_to_is_no_work(turn: Turn) -> None:
    OutboxDeliverer(turn).deliver([(event(EncodedPayload(JSON, b"[]", b"")), [])])
    assert turn._work_left == WORK_BUDGET


async def test_receivers_for_each_of_whom_something_is_made_count_for_more(turn: Turn) -> None:
    dear = MessageFormat(JSON, None, 16)
    peers: list[Any] = [Peer(dear), Peer(dear), Peer(WebSocketFormat(MSGPACK))]
    OutboxDeliverer(turn).deliver([(event(EncodedPayload(JSON, b"[1]", b"")), peers)])
    assert WORK_BUDGET - turn._work_left == 3 * 16


def making(peer: Any) -> int:
    """What it costs to make the first frame that waits for `peer`, which is made once for all."""
    size = len(peer.outbox[0])
    return size // READ_BYTES_A_UNIT if size >= BYTES_A_UNIT else 0


@pytest.mark.parametrize(("size", "units"), [(10, 1), (BYTES_A_UNIT, 2), (10 * BYTES_A_UNIT, 11)])
async def test_work_is_counted_by_what_is_made_and_by_receivers_and_bytes(
    turn: Turn, size: int, units: int
) -> None:
    wire_format = WebSocketFormat(JSON)
    peers: list[Any] = [Peer(wire_format) for _ in range(3)]
    OutboxDeliverer(turn).deliver([(event(EncodedPayload(JSON, b'["%b"]' % (b"x" * size), b"")), peers)])
    assert WORK_BUDGET - turn._work_left == making(peers[0]) + 3 * units


@pytest.mark.parametrize("size", [1, BYTES_A_UNIT, 5 * BYTES_A_UNIT])
async def test_to_one_peer_it_is_the_same_and_costs_as_much_as_to_each_of_several(
    turn: Turn, size: int
) -> None:
    alone: Any = Peer(CountingFormat(JSON))
    several: list[Any] = [Peer(alone.wire_format) for _ in range(3)]
    sent = event(EncodedPayload(JSON, b'["%b"]' % (b"a" * size), b""))
    turn.keeps_keys = True

    def cost(peers: list[Any]) -> int:
        before = turn._work_left
        OutboxDeliverer(turn).deliver([(sent, peers)])
        return before - turn._work_left

    costs = cost([alone]), cost(several)
    made = making(alone)
    assert (costs[0] - made) * 3 == costs[1] - made > 0
    assert alone.outbox == several[0].outbox
    for peer in (alone, *several):
        assert turn.key_of(peer.outbox[0]) == (1, None)
    await asyncio.sleep(0)
    assert [peer.flushes for peer in (alone, *several)] == [1] * 4
