"""The one rule about keys: those of a dictionary are text, at every depth, in every format, read or written.

JSON has no others. MessagePack and CBOR have, and there they are refused as soon as they are read: CPython puts whole
numbers into a hash table by their value, so they can be chosen to meet in one place, and a message of 950 KB took 7.6 s
to read. The hashes of texts are seeded, so a text that is repeated costs no more than its bytes.
"""

from typing import Any

from heliograph.wamp.errors import PayloadError

RULE = "keys of dictionaries must be texts"
"""What is said wherever another key was found."""


def check_key(key: Any) -> str:
    """Return `key`; raises `PayloadError` unless it is text."""
    if type(key) is str:
        return key
    raise PayloadError(RULE)


def check_keys(value: Any) -> None:
    """Raise `PayloadError` unless all keys in `value`, the small head of a message, are text."""
    if isinstance(value, dict):
        for key, item in value.items():
            check_key(key)
            check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            check_keys(item)
