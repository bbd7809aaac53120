"""The values that go through a client: results, and payload encoded before a message is made of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from heliograph.client.errors import ApplicationError, BadPayload
from heliograph.wamp.errors import PayloadError
from heliograph.wamp.payload import EncodedPayload, Payload, PlainPayload
from heliograph.wire.serializers.serializer import Serializer


class Result(msgspec.Struct, frozen=True):
    """What a procedure returned, or what a registered function returns when one value is not enough.

    Attributes:
        args: positional values.
        kwargs: keyword values.
    """

    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}

    def value(self) -> Any:
        """Return `None` for no value, the value where there is one positional one, else this result itself."""
        if self.kwargs or len(self.args) > 1:
            return self
        return self.args[0] if self.args else None


def encode_payload(serializer: Serializer, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> Payload:
    """Return the arguments encoded; raises `BadPayload` before anything is sent."""
    try:
        encoded_args, encoded_kwargs = PlainPayload(args, dict(kwargs or {})).encoded(serializer)
    except PayloadError as error:
        raise BadPayload(f"the arguments {error}") from error
    return EncodedPayload(serializer, encoded_args, encoded_kwargs)


def read_payload(payload: Payload) -> tuple[list[Any], dict[str, Any]]:
    """Return (args, kwargs); raises `BadPayload` where they cannot be read."""
    try:
        return payload.decoded()
    except PayloadError as error:
        raise BadPayload(f"the payload is {error}") from error


def application_error(uri: str, payload: Payload) -> ApplicationError:
    """Return the error that an ERROR message stands for; a payload that cannot be read is replaced by that fact."""
    try:
        args, kwargs = read_payload(payload)
    except BadPayload as error:
        return ApplicationError(uri, str(error))
    return ApplicationError(uri, *args, **kwargs)
