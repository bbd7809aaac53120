"""One event to many peers: encoded once for each wire format, put into every outbox."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol, cast

from heliograph.routing.peer import Delivery, Peer
from heliograph.routing.work import READ_BYTES_A_UNIT
from heliograph.transports.turn import BYTES_A_UNIT, Flushable, Turn
from heliograph.wamp.messages import Event, Message
from heliograph.wamp.payload import Payload, PreparedPayload
from heliograph.wire.serializers.serializer import Serializer


class WireFormat(Protocol):
    """How messages look on one kind of connection: a serializer and its framing.

    `delivery_units` is what one delivery costs in units of a turn's work: 1 where the same bytes go to everybody.
    `serializer` is the format of payloads.
    """

    @property
    def delivery_units(self) -> int: ...

    @property
    def serializer(self) -> Serializer: ...

    def frame(self, message: Message) -> Any:
        """Return `message` finished, ready for an outbox; raises `PayloadError`."""


class Framer(Protocol):
    """Makes frames of what has waited in an outbox.

    `units` is what it costs to make a byte, compared to writing one.
    """

    @property
    def units(self) -> int: ...

    def finish(self, outbox: list[bytes]) -> bytes:
        """Return the frames of all messages in `outbox`, which are small together."""

    def pieces(self, message: bytes) -> Iterator[bytes]:
        """Return the frames of one large message, made when they are asked for."""


class OutboxPeer(Peer, Flushable, Protocol):
    """A peer that collects what it is sent until the end of the turn."""

    wire_format: WireFormat
    outbox: list[Any]


class OutboxDeliverer:
    """Delivers events to the outboxes of peers.

    Args:
        turn: told what work was done and whom to flush.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Put each event into the outboxes of its peers; all of them or, with `PayloadError`, none."""
        if len(deliveries) == 1:
            ((event, peers),) = deliveries
            receivers = cast(Collection[OutboxPeer], peers)
            if len(receivers) == 1:
                (receiver,) = receivers
                self._put_one(event, receiver)
                return
            self._put(event, _frames(event, receivers), receivers)
            return
        encoded = [
            (event, _frames(event, cast(Collection[OutboxPeer], peers)), peers) for event, peers in deliveries
        ]
        for event, frames, peers in encoded:
            self._put(event, frames, cast(Collection[OutboxPeer], peers))

    def prepare(self, payload: Payload, peers: Iterable[Peer]) -> Payload:
        """Return `payload` converted for the formats of all `peers`; raises `PayloadError`."""
        wire_formats = {peer.wire_format for peer in cast(Iterable[OutboxPeer], peers)}
        return PreparedPayload(payload, {wire_format.serializer for wire_format in wire_formats})

    def _put_one(self, event: Event, receiver: OutboxPeer) -> None:
        """Put an event into one outbox: without tables of formats, which cost as much again."""
        wire_format = receiver.wire_format
        frame = wire_format.frame(event)
        turn = self._turn
        if turn.keeps_keys:
            turn.note_event((frame,), (event.subscription, event.details.topic))
        outbox = receiver.outbox
        if not outbox:
            turn.dirty.append(receiver)
        outbox.append(frame)
        units = wire_format.delivery_units
        if len(frame) >= BYTES_A_UNIT:
            turn.has_large_frames = True
            units = units * (1 + len(frame) // BYTES_A_UNIT) + len(frame) // READ_BYTES_A_UNIT
        turn.spend(units)

    def _put(self, event: Event, frames: dict[WireFormat, Any], receivers: Collection[OutboxPeer]) -> None:
        if self._turn.keeps_keys:
            self._turn.note_event(frames.values(), (event.subscription, event.details.topic))
        # Spending, below, sees to the turn's end.
        flush_at_end = self._turn.dirty.append
        if len(frames) == 1:
            # The usual case, without a look-up for each receiver.
            ((wire_format, frame),) = frames.items()
            for peer in receivers:
                outbox = peer.outbox
                if not outbox:
                    flush_at_end(peer)
                outbox.append(frame)
            longest, units = len(frame), wire_format.delivery_units
        else:
            for peer in receivers:
                outbox = peer.outbox
                if not outbox:
                    flush_at_end(peer)
                outbox.append(frames[peer.wire_format])
            longest = max(map(len, frames.values()), default=0)
            units = max((wire_format.delivery_units for wire_format in frames), default=1)
        made = 0
        if longest >= BYTES_A_UNIT:
            self._turn.has_large_frames = True
            # Once for each format, where formats meet.
            made = len(frames) * longest // READ_BYTES_A_UNIT
        self._turn.spend(made + len(receivers) * units * (1 + longest // BYTES_A_UNIT))


def _frames(event: Event, receivers: Collection[OutboxPeer]) -> dict[WireFormat, Any]:
    """Return the event finished for every wire format that one of `receivers` has."""
    formats = {peer.wire_format for peer in receivers}
    if len(formats) == 1:
        wire_format = formats.pop()
        return {wire_format: wire_format.frame(event)}
    return {wire_format: wire_format.frame(event) for wire_format in formats}
