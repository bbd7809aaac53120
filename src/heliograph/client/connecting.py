"""`connect`: from a URL to a session."""

import logging
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address

from heliograph import __version__
from heliograph.client.address import Address, read_address
from heliograph.client.authentication import Authentication, Credentials
from heliograph.client.connection import Connection
from heliograph.client.options import ClientOptions, TlsOptions
from heliograph.client.reconnect import Clock, Random, SystemClock, system_random
from heliograph.client.session import Session, session_of
from heliograph.wamp.errors import RequestError
from heliograph.wamp.uris import UriCheck
from heliograph.wire.serializers import serializer

logger = logging.getLogger("heliograph.client")

AGENT = f"heliograph/{__version__}"


def connect(
    url: str,
    *,
    realm: str = "realm1",
    authentication: Credentials | Sequence[Credentials] = (),
    serializers: Sequence[str] = ("json",),
    tls: ssl.SSLContext | TlsOptions | None = None,
    headers: Mapping[str, str] | None = None,
    reconnect: bool = True,
    retry_first: bool = False,
    options: ClientOptions | None = None,
    clock: Clock | None = None,
    random: Random = system_random,
) -> AbstractAsyncContextManager[Session]:
    """Return the context of a session that joins `realm` and joins again whenever the connection is lost.

        async with connect("ws://127.0.0.1:8080/ws") as session:
            ...

    The block begins when the session has joined. It ends with a GOODBYE, within `close_timeout_s`.

    Args:
        url: where the router is: `ws://host:port/path` or `wss://…` for WebSocket, `rs://host:port` or `rss://…` for
            RawSocket, `unix:/path/of/socket` for RawSocket over a Unix socket.
        realm: the realm to join.
        authentication: what the client proves with who it is, or several of them in order of preference: `Ticket`,
            `WampCra`, `Scram`, `Cryptosign`, `TlsCertificate`, `Anonymous`.
        serializers: names in order of preference: `json`, `msgpack` (which needs ormsgpack), `cbor` (which needs cbor2
            as well).
        tls: how the server is verified and this client proves who it is; by default the server is verified by the
            system's authorities.
        headers: more headers for the WebSocket handshake; RawSocket has none.
        reconnect: join again after the connection is lost.
        retry_first: keep trying while nobody answers at `url`, instead of raising. What trying again will not mend (a
            realm that does not exist, a certificate that does not verify, a wrong path) is raised all the same.
        options: limits and timeouts.
        clock: what pauses are waited by; tests inject their own.
        random: what pauses are drawn from; tests inject their own.

    Raises:
        ValueError: the URL, the realm, a serializer's name or a file of `tls` is wrong, or credentials do not fit
            together.
        ConnectFailed: on entering: no connection could be opened.
        JoinRefused: on entering: the router does not let this client into the realm. Later, out of the block: it does
            not accept the credentials any more.
        ConnectionLost: on entering: the connection went while joining.
    """
    address = read_address(url)
    _check_realm(realm)
    if not serializers or isinstance(serializers, str):
        raise ValueError("serializers is a sequence of names, for example ('json',)")
    try:
        chosen = tuple(serializer(name) for name in serializers)
    except LookupError as error:
        raise ValueError(error.args[0]) from None
    offered = (authentication,) if isinstance(authentication, Credentials) else tuple(authentication)
    if any(credentials.shows_secret for credentials in offered) and _may_be_overheard(address):
        logger.warning("a ticket would travel unencrypted to %s: use TLS, or scram", address.shown)
    connection = Connection(
        address,
        realm=realm,
        agent=AGENT,
        authentication=Authentication(offered),
        serializers=chosen,
        ssl_context=_ssl_context(tls),
        headers=dict(headers or {}),
        reconnect=reconnect,
        retry_first=retry_first,
        options=options or ClientOptions(),
        clock=clock or SystemClock(),
        random=random,
    )
    return session_of(connection)


def _may_be_overheard(address: Address) -> bool:
    if address.is_tls or address.socket_path is not None or address.host == "localhost":
        return False
    try:
        return not ip_address(address.host).is_loopback
    except ValueError:
        return True  # a name


def _ssl_context(tls: ssl.SSLContext | TlsOptions | None) -> ssl.SSLContext | None:
    if not isinstance(tls, TlsOptions):
        return tls
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(name for name in (tls.ca_file, tls.cert_file, tls.key_file) if name is not None)
        raise ValueError(f"tls: cannot use {named}: {error}") from error
    return context


def _check_realm(realm: str) -> None:
    try:
        UriCheck()(realm)
    except RequestError as error:
        raise ValueError(f"realm: {error.arguments[0]}") from None
