"""What every serializer is: a payload format that also turns whole messages into bytes and back."""

from typing import Protocol

from heliograph.wamp.messages import Message
from heliograph.wamp.payload import PayloadFormat


class Serializer(PayloadFormat, Protocol):
    """One serializer of WAMP.

    `name` is the word in the subprotocol, `is_binary` tells whether its messages travel in binary frames, and
    `read_bytes_a_unit` how many bytes of a message are read in about a microsecond, whatever is in it.
    """

    is_binary: bool
    read_bytes_a_unit: int

    def encode(self, message: Message) -> bytes:
        """Return `message` as bytes; raises `PayloadError` when its payload cannot be expressed."""

    def decode(self, data: bytes) -> Message:
        """Return the message that `data` holds; raises `ProtocolViolation` when there is none.

        `data` must be `bytes`: the payload keeps slices of it, and a buffer that is used again would turn a stored
        payload into somebody else's.
        """
