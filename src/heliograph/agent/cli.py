"""`heliograph agent`: its options, and running it until a signal.

Nothing heavy is imported up here: the command line's help shows these options without psutil being installed.
"""

from __future__ import annotations

import argparse
import logging
import os
import urllib.parse

from heliograph.agent.errors import IdentityError
from heliograph.agent.identity import check_client, client_from_host_name, read_host_name
from heliograph.agent.options import MAX_FREQUENCY_S, MIN_FREQUENCY_S, AgentOptions
from heliograph.logs.printing import print_error
from heliograph.logs.setup import LOG_LEVELS, set_up_logging

_HTTP_SCHEMES = {"ws": "http", "wss": "https"}
_FAILED, _MISUSED = 1, 2
_UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the agent's options to *parser*. `HELIOGRAPH_URL` and `HELIOGRAPH_CLIENT` are their defaults."""
    url = os.environ.get("HELIOGRAPH_URL") or None
    parser.add_argument(
        "--url",
        type=websocket_url,
        default=url,
        required=url is None,
        metavar="URL",
        help="the router's WebSocket, such as ws://192.0.2.1:8080/ws (default: the variable HELIOGRAPH_URL)",
    )
    parser.add_argument(
        "--client",
        type=client_name,
        default=os.environ.get("HELIOGRAPH_CLIENT") or None,
        metavar="NAME",
        help="this machine's name in the fleet: a-z, 0-9, '_' and '-', at most 64 "
        "(default: the variable HELIOGRAPH_CLIENT, else from the host name)",
    )
    parser.add_argument("--realm", default="realm1", help="the router's realm (default: %(default)s)")
    parser.add_argument(
        "--clients-url",
        type=http_url,
        default=None,
        metavar="URL",
        help="where to enrol and to fetch the configuration (default: /clients/ on the host and port of --url)",
    )
    parser.add_argument(
        "--min-interval",
        type=interval_s,
        default=MIN_FREQUENCY_S,
        metavar="SECONDS",
        help="never publish more often than this, whatever the configuration says (default: %(default)s)",
    )
    parser.add_argument(
        "--loglevel",
        choices=LOG_LEVELS,
        default="info",
        help="how much to log to standard error (default: info)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the agent until SIGTERM or SIGINT; return the process's exit code, 0 after a signal.

    *arguments* come from a parser that `add_arguments` prepared. What stops the agent for good (no such realm, no
    client name) is told in one line.
    """
    set_up_logging(arguments.loglevel)
    if arguments.loglevel == "info":
        # It tells of each connection, as the client does.
        logging.getLogger("picows").setLevel(logging.WARNING)
    try:
        options = options_from(arguments)
    except IdentityError as error:
        return _fail(str(error), _MISUSED)
    try:
        from heliograph.agent.service import run_until_signal
    except ModuleNotFoundError as error:
        if error.name != "psutil":
            raise
        return _fail("psutil is not installed: pip install 'heliograph[agent]'", _UNAVAILABLE)
    fatal = run_until_signal(options)
    return 0 if fatal is None else _fail(fatal, _FAILED)


def options_from(arguments: argparse.Namespace) -> AgentOptions:
    """Return the options in parsed *arguments*; raises `IdentityError` when there is no usable client name."""
    return AgentOptions(
        url=arguments.url,
        clients_url=arguments.clients_url or clients_url_beside(arguments.url),
        client=arguments.client or client_from_host_name(read_host_name()),
        realm=arguments.realm,
        min_interval_s=arguments.min_interval,
    )


def clients_url_beside(url: str) -> str:
    """Return where to enrol when only the WebSocket's *url* is known: `/clients/` on the same host and port."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((_HTTP_SCHEMES[parts.scheme], parts.netloc, "/clients/", "", ""))


def websocket_url(text: str) -> str:
    """Return *text* when it is a `ws://` or `wss://` URL, for argparse."""
    return _checked_url(text, schemes=("ws", "wss"), example="ws://192.0.2.1:8080/ws")


def http_url(text: str) -> str:
    """Return *text* when it is an `http://` or `https://` URL, for argparse."""
    return _checked_url(text, schemes=("http", "https"), example="http://192.0.2.1:8080/clients/")


def client_name(text: str) -> str:
    """Return *text* when it is a client name, for argparse."""
    try:
        return check_client(text)
    except IdentityError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def interval_s(text: str) -> int:
    """Return *text* as whole seconds from 1 to 3600, for argparse."""
    if (
        text.isascii()
        and text.isdigit()
        and len(text) <= 4
        and MIN_FREQUENCY_S <= int(text) <= MAX_FREQUENCY_S
    ):
        return int(text)
    raise argparse.ArgumentTypeError(
        f"{text[:80]!r} is not whole seconds from {MIN_FREQUENCY_S} to {MAX_FREQUENCY_S}"
    )


def _checked_url(text: str, *, schemes: tuple[str, ...], example: str) -> str:
    wrong = argparse.ArgumentTypeError(
        f"{text[:200]!r} is no {schemes[0]}:// or {schemes[1]}:// URL such as {example}"
    )
    if any(character.isspace() or not character.isprintable() for character in text):
        raise wrong
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in schemes or not parts.hostname or port == 0 or parts.fragment:
        raise wrong
    if parts.username is not None or parts.password is not None:
        raise argparse.ArgumentTypeError("a URL with a password in it is not taken: it would end up in logs")
    return text


def _fail(message: str, code: int) -> int:
    print_error(f"heliograph agent: {message}")
    return code
