"""`heliograph keygen` and `heliograph secret`: make what a client presents, and what the router keeps of it.

What goes into the router's configuration is printed on standard output, as YAML; everything else on standard error.
"""

import argparse
import getpass
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from heliograph.auth import cryptosign, scram_record, ticket, wampcra
from heliograph.auth.errors import LibraryMissing
from heliograph.auth.scram_record import Record
from heliograph.logs.printing import print_error

OK = 0
FAILED = 1
UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h: an optional dependency is not installed

MAX_SECRET_CHARACTERS = 4096
CRA_ITERATIONS = 10_000
"""Clients in browsers compute them without help of the machine: ten times as many would take them seconds."""


class WrongInput(Exception):  # noqa: N818 - reads as what happened
    """What was given cannot be used; the text says why, and nothing of a secret."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand that the parser's default `command` names."""
    commands: dict[str, Callable[[argparse.ArgumentParser], None]] = {
        "keygen": _add_keygen_arguments,
        "secret": _add_secret_arguments,
    }
    commands[parser.get_default("command")](parser)


def _add_keygen_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Make a key pair for cryptosign; the private key never leaves this machine."
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="where the private key goes; it must not exist"
    )
    parser.add_argument("--authid", default="joe", help="who has the key (default: joe)")
    _add_role(parser)


def _add_secret_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Read a secret and print what the router's configuration keeps of it."
    parser.add_argument(
        "method",
        choices=("ticket", "wampcra", "scram"),
        metavar="METHOD",
        help="ticket: a secret that a machine shows; wampcra: one that signs; scram: a password",
    )
    parser.add_argument("authid", metavar="AUTHID", help="who has the secret")
    _add_role(parser)
    parser.add_argument(
        "--generate",
        type=Path,
        metavar="FILE",
        help="draw a random secret and write it to FILE, which must not exist",
    )
    parser.add_argument(
        "--kdf",
        choices=scram_record.KDFS,
        default="argon2id13",
        help="for scram, how the client derives its key: argon2id13 or pbkdf2 by the specification, "
        "argon2id-13 for Autobahn (default: argon2id13)",
    )
    parser.add_argument(
        "--iterations",
        type=_positive,
        metavar="N",
        help="rounds of the derivation of scram or wampcra (default: by method)",
    )
    parser.add_argument(
        "--memory", type=_positive, metavar="KIB", help="for scram with argon2 (default: 19456)"
    )


def _add_role(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--role", default="user", help="the role of its sessions (default: user)")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand `arguments.command`; returns the exit code."""
    commands: Mapping[str, Callable[[argparse.Namespace], None]] = {"keygen": _keygen, "secret": _secret}
    try:
        commands[arguments.command](arguments)
    except LibraryMissing as missing:
        print_error(f"heliograph {arguments.command}: {missing}")
        return UNAVAILABLE
    except (OSError, ValueError, WrongInput) as error:
        print_error(f"heliograph {arguments.command}: {error}")
        return FAILED
    return OK


def _keygen(arguments: argparse.Namespace) -> None:
    private_key = cryptosign.new_private_key()
    public_key = cryptosign.public_key(private_key)
    _write_secret(arguments.file, private_key.hex(), "the private key")
    _print_principal(
        "cryptosign",
        "principals",
        arguments.authid,
        {"authorized_keys": [public_key], "role": arguments.role},
    )


def _secret(arguments: argparse.Namespace) -> None:
    makers = {"ticket": _ticket, "wampcra": _wampcra, "scram": _scram}
    if arguments.generate is None:
        kept = makers[arguments.method](_read_secret(arguments.method), arguments)
    else:
        secret = ticket.new_ticket()
        kept = makers[arguments.method](secret, arguments)
        _write_secret(arguments.generate, secret, "the secret")
    entries = "users" if arguments.method == "wampcra" else "principals"
    _print_principal(arguments.method, entries, arguments.authid, {**kept, "role": arguments.role})


def _ticket(secret: str, arguments: argparse.Namespace) -> dict[str, Any]:
    if ticket.is_hashed(secret):
        raise WrongInput("this is a hash already")
    return {"ticket": ticket.hash_ticket(secret)}


def _wampcra(secret: str, arguments: argparse.Namespace) -> dict[str, Any]:
    salt = secrets.token_hex(16)
    iterations = arguments.iterations or CRA_ITERATIONS
    key = wampcra.derive_key(secret, salt, iterations=iterations)
    return {"secret": key.decode(), "salt": salt, "iterations": iterations, "keylen": 32}


def _scram(secret: str, arguments: argparse.Namespace) -> dict[str, Any]:
    record = Record.make(
        secret, kdf=arguments.kdf, iterations=arguments.iterations, memory_kib=arguments.memory
    )
    kept: dict[str, Any] = {"kdf": record.kdf, "iterations": record.iterations}
    if record.memory_kib is not None:
        kept["memory"] = record.memory_kib
    return {
        **kept,
        "salt": record.salt.hex(),
        "stored-key": record.stored_key.hex(),
        "server-key": record.server_key.hex(),
    }


def _read_secret(method: str) -> str:
    if not sys.stdin.isatty():
        secret = sys.stdin.read(MAX_SECRET_CHARACTERS + 2).removesuffix("\n").removesuffix("\r")
    else:
        name = "password" if method == "scram" else "ticket" if method == "ticket" else "secret"
        secret = getpass.getpass(f"{name}: ")
        if getpass.getpass(f"{name} again: ") != secret:
            raise WrongInput("these were two different ones; nothing was made")
    if not secret:
        raise WrongInput(
            "the secret is empty; type one, pipe one in, or let one be drawn with --generate FILE"
        )
    if len(secret) > MAX_SECRET_CHARACTERS:
        raise WrongInput(f"the secret has more than {MAX_SECRET_CHARACTERS} characters")
    return secret


def _write_secret(file: Path, secret: str, name: str) -> None:
    """Write a new file that nobody but its owner reads; one that exists is never touched."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise WrongInput(f"{file} exists already; it is left as it is") from None
    with open(descriptor, "w") as out:
        out.write(f"{secret}\n")
    print_error(f"wrote {file}: {name}, for its owner only")


def _print_principal(method: str, entries: str, authid: str, principal: Mapping[str, Any]) -> None:
    # Text of JSON is text of YAML as well, whatever is in it.
    print("# into the transport of the router's configuration")
    print("auth:")
    print(f"  {method}:")
    print("    type: static")
    print(f"    {entries}:")
    print(f"      {json.dumps(authid)}:")
    for key, value in principal.items():
        print(f"        {key}: {json.dumps(value)}")
