"""Ed25519 keys as they are kept in files: raw, in hexadecimal, as Autobahn and as OpenSSH write them."""

import base64
import binascii
import re
import struct

from heliograph.auth.encoding import from_hex
from heliograph.auth.errors import KeyFileError

KEY_BYTES = 32
MAX_FILE_BYTES = 64 * 1024

_SSH_NAME = b"ssh-ed25519"
_SSH_MAGIC = b"openssh-key-v1\0"
_SSH_BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----"
_SSH_END = "-----END OPENSSH PRIVATE KEY-----"

# Files of Autobahn and Crossbar.io are lines of `name: value`.
_TAGGED = re.compile(r"^private-key-ed25519:[ \t]*([0-9a-fA-F]{64})[ \t]*\r?$", re.MULTILINE)


def read_private_key(content: bytes) -> bytes:
    """Return the 32 octets of the private key in a file.

    Args:
        content: all of the file: 32 raw octets, 64 hexadecimal digits, a key file of Autobahn or Crossbar.io, or an
            Ed25519 key of OpenSSH without passphrase.

    Raises:
        KeyFileError: it is none of these.
    """
    text = _text(content)
    # Random octets are not all printable: 32 letters are something else, and no key anybody should rely on.
    if len(content) == KEY_BYTES and not (text.isascii() and text.isprintable()):
        return content
    if text.startswith(_SSH_BEGIN):
        return _read_openssh(text)
    if tagged := _TAGGED.search(text):
        return bytes.fromhex(tagged[1])
    try:
        return from_hex(text, KEY_BYTES)
    except ValueError:
        raise KeyFileError(
            "this is no Ed25519 private key: 32 octets, 64 hexadecimal digits, or an OpenSSH key as "
            "`ssh-keygen -t ed25519 -N ''` writes it"
        ) from None


def read_public_key(content: bytes) -> str:
    """Return the public key in a file, in hexadecimal.

    Args:
        content: all of the file: 64 hexadecimal digits, or an `ssh-ed25519` line of OpenSSH.

    Raises:
        KeyFileError: it is none of these.
    """
    text = _text(content)
    try:
        if text.startswith("ssh-ed25519 "):
            fields = _Fields(base64.b64decode(text.split()[1], validate=True))
            return fields.expect(_SSH_NAME).string(KEY_BYTES).hex()
        return from_hex(text, KEY_BYTES).hex()
    except ValueError:
        raise KeyFileError(
            "this is no Ed25519 public key: 64 hexadecimal digits, or an ssh-ed25519 line"
        ) from None


def _text(content: bytes) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise KeyFileError(f"a key file has at most {MAX_FILE_BYTES} bytes")
    return content.decode("utf-8", "replace").strip()


class _Fields:
    """Reads OpenSSH's strings: a length in four octets, then so many octets."""

    def __init__(self, octets: bytes) -> None:
        self._rest = octets

    def take(self, length: int) -> bytes:
        if length > len(self._rest):
            raise ValueError("too short")
        taken, self._rest = self._rest[:length], self._rest[length:]
        return taken

    def number(self) -> int:
        (number,) = struct.unpack(">I", self.take(4))
        return int(number)

    def string(self, length: int | None = None) -> bytes:
        string = self.take(self.number())
        if length is not None and len(string) != length:
            raise ValueError("another length")
        return string

    def expect(self, string: bytes) -> "_Fields":
        if self.string() != string:
            raise ValueError("something else")
        return self


def _read_openssh(text: str) -> bytes:
    """Read OpenSSH's own format (PROTOCOL.key in its sources)."""
    body = text.removeprefix(_SSH_BEGIN).partition(_SSH_END)[0]
    try:
        fields = _Fields(base64.b64decode("".join(body.split()), validate=True))
        if fields.take(len(_SSH_MAGIC)) != _SSH_MAGIC:
            raise ValueError("no magic")
        cipher = fields.string()
        if cipher != b"none":
            raise KeyFileError(
                "this key has a passphrase; make a copy without one: ssh-keygen -p -N '' -f FILE"
            )
        fields.expect(b"none").expect(b"")  # key derivation and its options
        if fields.number() != 1:
            raise ValueError("not one key")
        fields.string()  # the public key
        private = _Fields(fields.string())
        if private.number() != private.number():
            raise ValueError("check numbers differ")
        if private.string() != _SSH_NAME:
            raise KeyFileError(
                "this OpenSSH key is no Ed25519 key; make one with: ssh-keygen -t ed25519 -N ''"
            )
        public = private.string(KEY_BYTES)
        secret = private.string(2 * KEY_BYTES)
    except (binascii.Error, struct.error, KeyFileError, ValueError) as error:
        if isinstance(error, KeyFileError):
            raise
        raise KeyFileError("this OpenSSH private key is damaged") from None
    if secret[KEY_BYTES:] != public:
        raise KeyFileError("this OpenSSH private key is damaged")
    return secret[:KEY_BYTES]
