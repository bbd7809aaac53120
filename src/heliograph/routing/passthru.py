"""Payload passthru: arguments only the two ends can read (specification, "Payload Passthru Mode")."""

from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import PassthruOptions

_KEYS = tuple(PassthruOptions.__struct_fields__)


def passthru_of(options: PassthruOptions, features: int, sender_bit: int) -> dict[str, str]:
    """Return what `options` say of their payload, for the message it is passed on with.

    Args:
        options: of the message that came.
        features: what its sender has announced.
        sender_bit: the feature a sender of such a message must have announced.

    Raises:
        ProtocolViolation: the payload is packed, and the sender has not announced that it packs.
    """
    if options.ppt_scheme is None and options.enc_algo is None:
        return {}
    if options.ppt_scheme is not None and not features & sender_bit:
        # "sends a … message with `payload passthru` without announcing it … MUST be treated as PROTOCOL ERRORS". The
        # older form is announced under other names by each client; it is passed on as it is.
        raise ProtocolViolation("payload passthru was not announced in HELLO (payload_passthru_mode)")
    return {key: value for key in _KEYS if (value := getattr(options, key)) is not None}
