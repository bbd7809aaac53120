"""Bearer tokens (RFC 6750): a shared secret that HTTP requests carry as it is, in `Authorization`."""

import hmac
import re
from pathlib import Path

from heliograph.auth.options import SecretFile
from heliograph.auth.secret_files import SecretUnreadable, read_secret

LEAST_CHARACTERS = 16
"""Shorter tokens could be guessed: nothing slows down who tries one after another."""

MOST_CHARACTERS = 512

TOKEN_RULE = (
    f"{LEAST_CHARACTERS} to {MOST_CHARACTERS} of the characters A-Z, a-z, 0-9, -, ., _, ~, + and /, "
    "such as `openssl rand -hex 32` prints"
)

# `b64token` of RFC 6750, section 2.1.
_TOKEN = re.compile(rf"(?=.{{{LEAST_CHARACTERS},{MOST_CHARACTERS}}}\Z)[A-Za-z0-9._~+/-]+=*\Z")
_SCHEME = b"bearer"


class BearerToken:
    """A token. It is not shown where its object is, such as in a traceback with variables.

    Args:
        text: the token itself.
    """

    __slots__ = ("_bytes",)

    def __init__(self, text: str) -> None:
        self._bytes = text.encode(errors="surrogatepass")

    def __repr__(self) -> str:
        return "BearerToken(…)"

    @property
    def is_usable(self) -> bool:
        """Whether it can stand in a header, and is long enough (`TOKEN_RULE`)."""
        return _TOKEN.match(self._bytes.decode(errors="replace")) is not None

    @property
    def credentials(self) -> bytes:
        """The value of `Authorization` that proves who has it."""
        return b"Bearer " + self._bytes

    def is_proved_by(self, authorization: bytes) -> bool:
        """Return whether a request's `Authorization` holds this token; takes as long for any other of its length."""
        scheme, _, token = authorization.strip().partition(b" ")
        # "a case-insensitive token to identify the authentication scheme" (RFC 9110, section 11.1)
        return scheme.lower() == _SCHEME and hmac.compare_digest(token.strip(), self._bytes)


def read_token(token: str | SecretFile, directory: Path) -> BearerToken:
    """Return a token that may stand in a file.

    Args:
        token: the token, or its file.
        directory: what the file's path is relative to.

    Raises:
        SecretUnreadable: the file cannot be read, or holds no token; the text shows nothing of its content.
    """
    read = BearerToken(read_secret(token, directory))
    if not read.is_usable:
        where = f"in {directory / token.file} " if isinstance(token, SecretFile) else ""
        raise SecretUnreadable(f"the token {where}must have {TOKEN_RULE}")
    return read
