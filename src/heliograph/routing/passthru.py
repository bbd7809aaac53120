"""Payload passthru: arguments only the two ends can read (specification, "Payload Passthru Mode")."""

from collections.abc import Mapping
from typing import Any

from heliograph.wamp.errors import INVALID_ARGUMENT, ProtocolViolation, RequestError
from heliograph.wamp.messages import PassthruOptions

TEXT_LIMIT = 256
"""Characters that a scheme, a serializer, a cipher or the id of a key may have: calls and retained events keep them."""

_KEYS = tuple(PassthruOptions.__struct_fields__)


def passthru_of(options: PassthruOptions, features: int, sender_bit: int) -> dict[str, Any]:
    """Return what `options` say of their payload, for the message it is passed on with.

    Args:
        options: of the message that came.
        features: what its sender has announced.
        sender_bit: the feature a sender of such a message must have announced.

    Raises:
        RequestError: one of them is too long.
        ProtocolViolation: the payload is packed, and the sender has not announced that it packs.
    """
    # "A *Router* can recognize that `Payload Passthru Mode` is in use by checking the existence and non-empty value of
    # this attribute": the scheme.
    if not options.ppt_scheme and not options.enc_algo:
        return {}
    if options.ppt_scheme and not features & sender_bit:
        # "sends a … message with `payload passthru` without announcing it … MUST be treated as *PROTOCOL ERRORS*". The
        # older form is announced under other names by each client; it is passed on as it is.
        raise ProtocolViolation("payload passthru was not announced in HELLO (payload_passthru_mode)")
    said: dict[str, str] = {key: value for key in _KEYS if (value := getattr(options, key)) is not None}
    if any(len(value) > TEXT_LIMIT for value in said.values()):
        raise RequestError(
            INVALID_ARGUMENT, f"an option of payload passthru has at most {TEXT_LIMIT} characters"
        )
    return said


def passthru_of_error(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the details of an ERROR say of its payload, for the ERROR it is passed on with."""
    return {key: details[key] for key in _KEYS if isinstance(details.get(key), str)} if details else {}
