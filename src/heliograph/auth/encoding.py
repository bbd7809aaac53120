"""Text to octets and back, as strictly as the specification asks."""

import binascii
import re

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*\Z")


def to_base64(octets: bytes) -> str:
    """Return the canonical base64 text of `octets`."""
    return binascii.b2a_base64(octets, newline=False).decode()


def from_base64(text: object) -> bytes:
    """Return the octets of canonical base64 text, which has padding and no white space.

    Raises:
        ValueError: `text` is none.
    """
    if not isinstance(text, str):
        raise ValueError("no text")
    octets = binascii.a2b_base64(text.encode(), strict_mode=True)
    if to_base64(octets) != text:
        raise ValueError("not canonical")
    return octets


def from_hex(text: object, length: int) -> bytes:
    """Return the `length` octets that hexadecimal `text` stands for.

    Raises:
        ValueError: `text` is none, or of another length.
    """
    if not isinstance(text, str) or len(text) != 2 * length or not _HEX.match(text):
        raise ValueError(f"not {2 * length} hexadecimal digits")
    return bytes.fromhex(text)


def xor(one: bytes, other: bytes) -> bytes:
    """Return the bitwise exclusive or of two strings of the same length."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def octets_of(text: str) -> bytes:
    """Return UTF-8, of whatever a peer may have sent as text: comparing it must not fail."""
    return text.encode("utf-8", "surrogatepass")
