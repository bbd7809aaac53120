"""Secrets that stand in files of their own."""

from pathlib import Path

from heliograph.auth.options import SecretFile

MAX_SECRET_BYTES = 64 * 1024


class SecretUnreadable(Exception):  # noqa: N818 - says what happened
    """A file with a secret cannot be used; the text says which and why, and nothing of its content."""


def read_secret(secret: str | SecretFile, node_directory: Path) -> str:
    """Return a secret that may stand in a file.

    Args:
        secret: the secret, or its file.
        node_directory: what the file's path is relative to.

    Raises:
        SecretUnreadable: the file cannot be used.
    """
    if not isinstance(secret, SecretFile):
        return secret
    file = node_directory / secret.file
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_SECRET_BYTES + 1)
        text = data.decode()
    except OSError as problem:
        raise SecretUnreadable(f"{file} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise SecretUnreadable(f"{file} is not UTF-8 text") from None
    except ValueError:
        raise SecretUnreadable(f"{secret.file!r} is no name of a file") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretUnreadable(f"{file} is empty: write the secret into it, and nothing else")
    if len(data) > MAX_SECRET_BYTES:
        raise SecretUnreadable(f"{file} is larger than {MAX_SECRET_BYTES} bytes, which no secret is")
    return text
