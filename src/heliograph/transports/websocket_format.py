"""How WAMP messages look on a WebSocket: one by one or in batches, compressed or not, in one frame or several.

Where every receiver gets the same bytes, an event is finished once for all of them. Where a connection has a batch or a
compressor of its own, the outbox holds the encoded messages, shared still, and frames are made of them when it is
flushed.
"""

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from heliograph.transports.deliverer import Framer, WireFormat
from heliograph.transports.send_queue import JOINED_BYTES, Framed
from heliograph.wamp.messages import Message
from heliograph.wire.batched import Batching, batches, batching
from heliograph.wire.permessage_deflate import Deflater, deflate_alone
from heliograph.wire.serializers.serializer import Serializer
from heliograph.wire.websocket import BINARY, FIN, TEXT, compressed_fragments, frame, server_message

BATCH_BYTES = 128 * 1024
"""Most that is put into one batch, unless a single message is larger: the receiver has limits too."""

LARGE_BYTES = 64 * 1024
"""Longer messages are compressed for a connection of its own in parts of this length, when it takes them."""

COMPRESSION_UNITS = 16
"""What it costs to compress a message for one receiver, in units of a turn's work."""


class FrameOptions(Struct, frozen=True, kw_only=True):
    """What makes frames look as they do, besides what the client agreed to.

    Attributes:
        fragment_bytes: the most a frame's payload may have; None puts each message into one frame.
        least_compressed_bytes: smaller messages are sent as they are.
        memory_level: of compressors.
    """

    fragment_bytes: int | None = None
    least_compressed_bytes: int = 0
    memory_level: int = 8


class SentCompression(Struct, frozen=True):
    """How the router compresses what it sends.

    Attributes:
        window_bits: of the compressor.
        keeps_context: whether messages refer to earlier ones.
    """

    window_bits: int
    keeps_context: bool


class Dialect(Struct, frozen=True, eq=False):
    """How messages are written and read on connections that have agreed on the same.

    Attributes:
        serializer: of its messages.
        batching: how a batch is read; None when each WebSocket message is one of WAMP.
        wire_format: of what stands in the outbox.
        new_framer: makes frames of the outbox's content for one connection; None when it holds frames.
    """

    serializer: Serializer
    batching: Batching | None
    wire_format: WireFormat
    new_framer: Callable[[], Framer] | None

    @property
    def opcode(self) -> int:
        """What kind of WebSocket message it travels in."""
        return opcode_of(self.serializer)


class WebSocketFormat:
    """A serializer whose messages travel in a frame each, the same for every receiver.

    Args:
        serializer: which.
        fragment_bytes: the most a frame may have.
    """

    delivery_units = 1

    def __init__(self, serializer: Serializer, fragment_bytes: int | None = None) -> None:
        self.serializer = serializer
        self._encode = serializer.encode
        self._opcode = opcode_of(serializer)
        self._first_byte = FIN | self._opcode
        self._fragment_bytes = fragment_bytes

    def frame(self, message: Message) -> bytes:
        """Return `message` as a finished frame, or several; raises `PayloadError`."""
        if self._fragment_bytes is None:
            return frame(self._first_byte, self._encode(message))
        return server_message(self._opcode, self._encode(message), fragment_bytes=self._fragment_bytes)


class DeflatedFormat:
    """A serializer whose messages are compressed one by one, so once for every receiver.

    Args:
        serializer: which.
        window_bits: what the receivers have agreed to.
        options: of frames.
    """

    delivery_units = 1

    def __init__(self, serializer: Serializer, window_bits: int, options: FrameOptions) -> None:
        self.serializer = serializer
        self._encode = serializer.encode
        self._frames = _shared_frames(opcode_of(serializer), window_bits, options)

    def frame(self, message: Message) -> bytes:
        """Return `message` as a finished frame, or several; raises `PayloadError`."""
        return self._frames(self._encode(message))


class MessageFormat:
    """A serializer whose messages wait unframed.

    Args:
        serializer: which.
        batching: how they stand in a batch, if they do.
        delivery_units: what it will cost to make frames for one receiver, in units of a turn's work.
        frames: makes the frames of a large message, which are those of all receivers; None where each has its own.
    """

    def __init__(
        self,
        serializer: Serializer,
        batching: Batching | None,
        delivery_units: int,
        frames: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.serializer = serializer
        self._encode = serializer.encode
        self._wrap = batching.wrap if batching is not None else None
        self._frames = frames
        self.delivery_units = delivery_units

    def frame(self, message: Message) -> bytes:
        """Return `message` as it stands in a batch, or alone; raises `PayloadError`."""
        encoded = self._encode(message)
        if self._wrap is not None:
            encoded = self._wrap(encoded)
        if self._frames is not None and len(encoded) > JOINED_BYTES:
            return Framed(self._frames(encoded))
        return encoded


class BatchFramer:
    """Makes the batches of connections that keep no context.

    Args:
        frames: makes the frames of a batch.
    """

    units = 1

    def __init__(self, frames: Callable[[bytes], bytes]) -> None:
        self._frames = frames
        self._last: list[bytes] = []
        self._last_finished = b""

    def finish(self, outbox: list[bytes]) -> bytes:
        """Return `outbox` in as few messages as may be."""
        # All who received the same events get the same batch: made once, found again by the identity of its parts.
        if outbox == self._last:
            return self._last_finished
        finished = b"".join(map(self._frames, batches(outbox, BATCH_BYTES)))
        if len(finished) <= BATCH_BYTES:
            self._last, self._last_finished = outbox.copy(), finished
        return finished

    def pieces(self, message: bytes) -> Iterator[bytes]:
        """Return the frames of `message`."""
        yield self._frames(message)


class ContextFramer:
    """Compresses for one connection, each message with reference to those before it.

    Args:
        opcode: of the messages.
        window_bits: what the client has agreed to.
        options: of frames.
        is_batched: whether those that wait go out together.
    """

    units = COMPRESSION_UNITS

    def __init__(self, opcode: int, window_bits: int, options: FrameOptions, *, is_batched: bool) -> None:
        self._opcode = opcode
        self._is_batched = is_batched
        self._options = options
        self._deflater = Deflater(window_bits=window_bits, memory_level=options.memory_level)

    def finish(self, outbox: list[bytes]) -> bytes:
        """Return the frames of all that waited."""
        messages: Iterable[bytes] = batches(outbox, BATCH_BYTES) if self._is_batched else outbox
        return b"".join(map(self._frames, messages))

    def pieces(self, message: bytes) -> Iterator[bytes]:
        """Return the frames of `message`; a large one is compressed as far as they are asked for."""
        options = self._options
        if len(message) <= LARGE_BYTES or len(message) < options.least_compressed_bytes:
            yield self._frames(message)
            return
        parts = self._deflater.deflate_in_parts(message, LARGE_BYTES)
        yield from compressed_fragments(self._opcode, parts, fragment_bytes=options.fragment_bytes)

    def _frames(self, message: bytes) -> bytes:
        options = self._options
        is_compressed = len(message) >= options.least_compressed_bytes
        return server_message(
            self._opcode,
            self._deflater.deflate(message) if is_compressed else message,
            is_compressed=is_compressed,
            fragment_bytes=options.fragment_bytes,
        )


def opcode_of(serializer: Serializer) -> int:
    """Return the kind of WebSocket message that `serializer` travels in."""
    return BINARY if serializer.is_binary else TEXT


def dialect(
    serializer: Serializer,
    compression: SentCompression | None,
    options: FrameOptions,
    *,
    is_batched: bool,
) -> Dialect:
    """Return what connections speak that have agreed on the same.

    Args:
        serializer: the one named.
        compression: what the client has agreed to, if it has.
        options: of frames.
        is_batched: whether the subprotocol is batched.
    """
    opcode = opcode_of(serializer)
    batch = batching(is_binary=serializer.is_binary) if is_batched else None
    wire_format: WireFormat
    new_framer: Callable[[], Framer] | None = None
    if compression is not None and compression.keeps_context:
        wire_format = MessageFormat(serializer, batch, COMPRESSION_UNITS)
        new_framer = _context_framers(opcode, compression.window_bits, options, is_batched=is_batched)
    elif batch is not None:
        frames = (
            _plain_frames(opcode, options)
            if compression is None
            else _shared_frames(opcode, compression.window_bits, options)
        )
        wire_format = MessageFormat(serializer, batch, 1, frames)
        new_framer = _one_framer(BatchFramer(frames))
    elif compression is not None:
        wire_format = DeflatedFormat(serializer, compression.window_bits, options)
    else:
        wire_format = WebSocketFormat(serializer, options.fragment_bytes)
    return Dialect(serializer, batch, wire_format, new_framer)


def _one_framer(framer: Framer) -> Callable[[], Framer]:
    return lambda: framer


def _context_framers(
    opcode: int, window_bits: int, options: FrameOptions, *, is_batched: bool
) -> Callable[[], Framer]:
    return lambda: ContextFramer(opcode, window_bits, options, is_batched=is_batched)


def _shared_frames(opcode: int, window_bits: int, options: FrameOptions) -> Callable[[bytes], bytes]:
    """Return what makes the frames of a message, compressed by itself if that makes it smaller."""

    def frames(message: bytes) -> bytes:
        is_compressed = False
        if len(message) >= options.least_compressed_bytes:
            compressed = deflate_alone(message, window_bits=window_bits, memory_level=options.memory_level)
            is_compressed = len(compressed) < len(message)
            if is_compressed:
                message = compressed
        return server_message(
            opcode, message, is_compressed=is_compressed, fragment_bytes=options.fragment_bytes
        )

    return frames


def _plain_frames(opcode: int, options: FrameOptions) -> Callable[[bytes], bytes]:
    return lambda message: server_message(opcode, message, fragment_bytes=options.fragment_bytes)
