"""The serializers of WAMP, found by the name that stands in a subprotocol (`wamp.2.<name>`)."""

from importlib import import_module
from typing import cast

from heliograph.wire.serializers.serializer import Serializer

SERIALIZER_NAMES = ("json", "msgpack", "cbor")
"""All serializers, in the order in which a side without a preference offers them."""


def serializer(name: str) -> Serializer:
    """Return the serializer called `name`; there is one of each in a process.

    Raises:
        LookupError: there is no serializer of that name.
        ImportError: the library it needs is not installed (`cbor` comes with the extra `router`).
    """
    if name not in SERIALIZER_NAMES:
        raise LookupError(f"no serializer {name!r}; there are {', '.join(SERIALIZER_NAMES)}")
    # Imported when first asked for: the agent speaks JSON and never loads cbor2.
    return cast(Serializer, import_module(f"heliograph.wire.serializers.{name}").SERIALIZER)
