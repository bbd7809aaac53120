"""`heliograph publish`, `heliograph subscribe` and `heliograph call`."""

import argparse
import asyncio
import contextlib
import os
import ssl
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec

from heliograph.client.cli_authentication import (
    BadCredentials,
    add_authentication_arguments,
    credentials_of,
    token_of,
)
from heliograph.client.connecting import connect
from heliograph.client.errors import BadPayload, HeliographError, WampError
from heliograph.client.event import Event
from heliograph.client.options import ClientOptions, TlsOptions
from heliograph.client.payload import Result
from heliograph.client.publisher import Publisher
from heliograph.client.rejoin import Rejoin
from heliograph.client.session import Session
from heliograph.logs.printing import print_error
from heliograph.logs.visible import visible_json
from heliograph.logs.writer import LineWriter
from heliograph.wamp.errors import PayloadError
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer

OK = 0
FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130  # what a shell reports for a process that Ctrl-C ended

UNPRINTED_LIMIT_BYTES = 16 * 1024 * 1024
"""Bytes of events that wait for who reads them; beyond it they are dropped and counted."""

INTERRUPTED_FLUSH_S = 1.0

DEFAULT_URL = "ws://127.0.0.1:8080/ws"
DEFAULT_REALM = "realm1"

_ARG_HELP = 'an argument: JSON where it is JSON (5, true, null, [1], {"a": 1}, "5"), else text'


class WrongUsage(Exception):  # noqa: N818 - reads as what happened
    """What was given on the command line cannot be meant; the text says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand that the parser's default `command` names."""
    commands: dict[str, Callable[[argparse.ArgumentParser], None]] = {
        "publish": _add_publish_arguments,
        "subscribe": _add_subscribe_arguments,
        "call": _add_call_arguments,
    }
    commands[parser.get_default("command")](parser)
    parser.add_argument("--realm", help=f"the realm to join (default: {DEFAULT_REALM})")
    parser.add_argument(
        "--serializer", choices=SERIALIZER_NAMES, default="json", help="wire format (default: json)"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait for a connection and for an answer (default: 10)",
    )
    parser.add_argument(
        "--ca-file",
        metavar="FILE",
        help="certificates of the authorities to trust, with wss, rss and https (default: the system's)",
    )
    add_authentication_arguments(parser)


def _add_publish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        default=DEFAULT_URL,
        help=f"ws://…/ws or wss://…, or a router's publisher, http://…/notify or https://… (default: {DEFAULT_URL})",
    )
    parser.add_argument("topic", metavar="TOPIC")
    parser.add_argument("args", nargs="*", metavar="ARG", help=_ARG_HELP)
    _add_keyword_arguments(parser)
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="the token that an HTTP publisher asks for (or HELIOGRAPH_TOKEN)",
    )
    parser.add_argument(
        "--acknowledge",
        action="store_true",
        help="print the publication's id, which the router gives with its leave",
    )


def _add_subscribe_arguments(parser: argparse.ArgumentParser) -> None:
    _add_websocket_url(parser)
    parser.add_argument("topics", nargs="+", metavar="TOPIC")
    parser.add_argument(
        "--match", choices=("exact", "prefix", "wildcard"), default="exact", help="how TOPIC is compared"
    )
    parser.add_argument("--count", type=_positive, metavar="N", help="end after N events")


def _add_call_arguments(parser: argparse.ArgumentParser) -> None:
    _add_websocket_url(parser)
    parser.add_argument("procedure", metavar="PROCEDURE")
    parser.add_argument("args", nargs="*", metavar="ARG", help=_ARG_HELP)
    _add_keyword_arguments(parser)


def _add_websocket_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        default=DEFAULT_URL,
        help=f"ws://…, wss://…, rs://host:port, rss://… or unix:/… (default: {DEFAULT_URL})",
    )


def _add_keyword_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kw",
        action="append",
        type=_keyword,
        default=[],
        metavar="KEY=VALUE",
        help="a keyword argument, its value like ARG; may be given again",
    )


def _keyword(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value_of(value)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and below a day")
    return seconds


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def value_of(text: str) -> Any:
    """Return the value that an argument on the command line stands for: JSON where it is JSON, else text."""
    try:
        return msgspec.json.decode(text.encode(errors="surrogateescape"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return text


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand `arguments.command`; returns the exit code."""
    commands: Mapping[str, Callable[[argparse.Namespace], int]] = {
        "publish": _publish,
        "subscribe": _subscribe,
        "call": _call,
    }
    try:
        return commands[arguments.command](arguments)
    except WampError as error:
        print_error(error)  # the URI first
        return FAILED
    except HeliographError as error:
        print_error(f"heliograph {arguments.command}: {error}")
        return FAILED
    except (WrongUsage, BadCredentials) as error:
        print_error(f"heliograph {arguments.command}: {error}")
        return WRONG_USAGE
    except BrokenPipeError:
        # Who read our output has gone; what is left of it must not fail again when Python flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


# publish


def _publish(arguments: argparse.Namespace) -> int:
    if arguments.url.startswith(("http:", "https:")):
        if arguments.realm is not None:
            raise WrongUsage("--realm is for ws:// URLs; an HTTP publisher has a realm of its own")
        if credentials_of(arguments, {}):
            raise WrongUsage("authentication is for ws:// URLs")
        publication: int | None = _publish_over_http(arguments)
    else:
        if arguments.token_file is not None:
            raise WrongUsage("--token-file is for the http:// URL of a publisher")
        publication = asyncio.run(_publish_over_websocket(arguments))
    if arguments.acknowledge:
        print(publication)
    return OK


def _publish_over_http(arguments: argparse.Namespace) -> int:
    timeout_s = arguments.timeout
    try:
        context = None if arguments.ca_file is None else ssl.create_default_context(cafile=arguments.ca_file)
        publisher = Publisher(
            arguments.url,
            timeout_s=timeout_s,
            connect_timeout_s=timeout_s,
            token=token_of(arguments, os.environ),
            ssl_context=context,
        )
    except OSError as error:
        raise WrongUsage(f"--ca-file: cannot use {arguments.ca_file}: {error}") from error
    except ValueError as error:
        raise WrongUsage(str(error)) from error
    with publisher:
        return publisher.publish_event(arguments.topic, _values(arguments), dict(arguments.kw))


async def _publish_over_websocket(arguments: argparse.Namespace) -> int | None:
    async with _session(arguments, reconnect=False) as session:
        # Always acknowledged: a refusal that nobody hears would look like success.
        return await session.publish_event(
            arguments.topic, _values(arguments), dict(arguments.kw), acknowledge=True
        )


# subscribe


def _subscribe(arguments: argparse.Namespace) -> int:
    # By a thread: who reads slowly must not keep the session from answering the router's pings.
    if sys.__stdout__ is None:
        raise WrongUsage("standard output is closed, so there is nowhere to print events")
    printer = LineWriter(sys.__stdout__, limit_bytes=UNPRINTED_LIMIT_BYTES)
    try:
        asyncio.run(_print_events(arguments, printer))
    except BaseException:
        printer.flush(INTERRUPTED_FLUSH_S)
        raise
    printer.flush(None)  # what came is printed, however slowly it is read
    if printer.error is not None:
        raise printer.error
    return OK


async def _print_events(arguments: argparse.Namespace, printer: LineWriter) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    left: int | None = arguments.count
    unprinted = 0

    def show(event: Event) -> None:
        nonlocal left, unprinted
        if done.done():
            return
        line = {
            "topic": event.topic,
            "publication": event.publication,
            "args": event.args,
            "kwargs": event.kwargs,
        }
        try:
            is_taken = printer.put(_json(line))
        except BadPayload as error:
            done.set_exception(error)
            return
        unprinted += not is_taken
        if left is not None and is_taken:
            left -= 1
            if left == 0:
                done.set_result(None)

    def end(error: Exception) -> None:
        if not done.done():
            done.set_exception(error)

    def end_if_refused(rejoin: Rejoin) -> None:
        if rejoin.failed:
            end(next(iter(rejoin.failed.values())))

    def end_unread(error: OSError) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(end, error)

    printer.on_error = end_unread
    async with _session(arguments, reconnect=True) as session:
        session.on_rejoin(end_if_refused)
        subscriptions = [
            await session.subscribe(show, topic, arguments.match) for topic in dict.fromkeys(arguments.topics)
        ]
        try:
            await done
        finally:
            dropped = unprinted + sum(subscription.dropped for subscription in subscriptions)
            if dropped:
                print_error(f"heliograph subscribe: {dropped} events came too fast and are missing")


# call


def _call(arguments: argparse.Namespace) -> int:
    value = asyncio.run(_result(arguments)).value()
    if isinstance(value, Result):
        value = {"args": value.args, "kwargs": value.kwargs}
    print(_json(value))
    return OK


async def _result(arguments: argparse.Namespace) -> Result:
    async with _session(arguments, reconnect=False) as session:
        return await session.call_procedure(
            arguments.procedure, _values(arguments), dict(arguments.kw), timeout_s=arguments.timeout
        )


# What all have


def _session(arguments: argparse.Namespace, *, reconnect: bool) -> AbstractAsyncContextManager[Session]:
    timeout_s = arguments.timeout
    authentication = credentials_of(arguments, os.environ)
    try:
        return connect(
            arguments.url,
            realm=arguments.realm or DEFAULT_REALM,
            authentication=authentication,
            tls=None if arguments.ca_file is None else TlsOptions(ca_file=arguments.ca_file),
            serializers=(arguments.serializer,),
            reconnect=reconnect,
            options=ClientOptions(
                open_timeout_s=timeout_s, join_timeout_s=timeout_s, request_timeout_s=timeout_s
            ),
        )
    except ValueError as error:
        raise WrongUsage(str(error)) from error


def _values(arguments: argparse.Namespace) -> list[Any]:
    return [value_of(text) for text in arguments.args]


def _json(value: Any) -> str:
    try:
        return visible_json(serializer("json").encode_value(value).decode())
    except PayloadError as error:
        raise BadPayload(f"what came {error}") from error
