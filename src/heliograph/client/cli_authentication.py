"""The command line's part of authentication. Secrets come from files or the environment: arguments are seen by all."""

import argparse
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from heliograph.auth.bearer import TOKEN_RULE, BearerToken
from heliograph.auth.errors import LibraryMissing
from heliograph.auth.key_files import MAX_FILE_BYTES
from heliograph.client.authentication import Credentials, Cryptosign, Scram, Ticket, WampCra
from heliograph.logs.printing import print_error

_OTHERS = stat.S_IRWXG | stat.S_IRWXO

# Option, environment variable, and what becomes of the text in the file.
_SECRETS: tuple[tuple[str, str, Callable[[str, str], Credentials]], ...] = (
    ("password_file", "HELIOGRAPH_PASSWORD", Scram),
    ("secret_file", "HELIOGRAPH_SECRET", WampCra),
    ("ticket_file", "HELIOGRAPH_TICKET", Ticket),
)


class BadCredentials(Exception):  # noqa: N818 - reads as what happened
    """What was given for authentication cannot be used; the text says why, and shows no secret."""


def add_authentication_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--authid` and the options that name files with secrets."""
    group = parser.add_argument_group(
        "authentication",
        "A secret stands in a file, or in the environment variable named here. Given several, all are offered.",
    )
    group.add_argument("--authid", help="who you are (or HELIOGRAPH_AUTHID)")
    for option, what in (
        ("--ticket-file", "your ticket (or HELIOGRAPH_TICKET)"),
        ("--secret-file", "your secret for wampcra (or HELIOGRAPH_SECRET)"),
        ("--password-file", "your password for scram (or HELIOGRAPH_PASSWORD)"),
        ("--key-file", "your private key for cryptosign: of heliograph keygen, or of ssh-keygen -t ed25519"),
    ):
        group.add_argument(option, type=Path, metavar="FILE", help=what)


def credentials_of(arguments: argparse.Namespace, environment: Mapping[str, str]) -> list[Credentials]:
    """Return what is offered to the router, the strongest first.

    Args:
        arguments: of the command line.
        environment: the process's environment.

    Raises:
        BadCredentials: a file cannot be used, or it is not said whose secret it is.
    """
    authid = arguments.authid or environment.get("HELIOGRAPH_AUTHID") or None
    offered: list[Credentials] = []
    try:
        if arguments.key_file is not None:
            _warn_of_open_file(arguments.key_file)
            offered.append(Cryptosign.from_file(arguments.key_file, authid=authid))
        for option, variable, make in _SECRETS:
            file: Path | None = getattr(arguments, option)
            secret = environment.get(variable) if file is None else _read_secret(file)
            if secret is None:
                continue
            if authid is None:
                raise BadCredentials(f"{_name(file, variable)} needs --authid, which says whose it is")
            if not secret:
                raise BadCredentials(f"{_name(file, variable)} is empty")
            offered.append(make(authid, secret))
    except (OSError, ValueError, LibraryMissing) as error:
        raise BadCredentials(str(error)) from error
    if authid is not None and not offered:
        raise BadCredentials(
            "--authid needs a proof: --key-file, --password-file, --secret-file or --ticket-file"
        )
    return offered


def token_of(arguments: argparse.Namespace, environment: Mapping[str, str]) -> BearerToken | None:
    """Return what is sent to a publisher path; raises `BadCredentials`."""
    file: Path | None = arguments.token_file
    try:
        text = environment.get("HELIOGRAPH_TOKEN") if file is None else _read_secret(file)
    except OSError as error:
        raise BadCredentials(str(error)) from error
    token = BearerToken(text) if text else None
    if token is not None and not token.is_usable:
        raise BadCredentials(f"{_name(file, 'HELIOGRAPH_TOKEN')} must hold a token: {TOKEN_RULE}")
    if file is not None and token is None:
        raise BadCredentials(f"{file} is empty")
    return token


def _name(file: Path | None, variable: str) -> str:
    return variable if file is None else str(file)


def _read_secret(file: Path) -> str:
    _warn_of_open_file(file)
    with file.open("rb") as opened:
        content = opened.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise BadCredentials(f"{file} has more than {MAX_FILE_BYTES} bytes, which is no secret")
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise BadCredentials(f"{file} holds no text") from None


def _warn_of_open_file(file: Path) -> None:
    mode = file.stat().st_mode
    if sys.platform != "win32" and stat.S_ISREG(mode) and mode & _OTHERS:
        print_error(f"warning: {file} is open to others; close it with: chmod 600 {file}")
