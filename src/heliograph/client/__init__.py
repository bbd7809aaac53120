"""The WAMP client: `connect` for asyncio, `Publisher` for synchronous code.

async with connect("ws://127.0.0.1:8080/ws", realm="realm1") as session:
    await session.subscribe(print, "com.example.news")
    await session.publish("com.example.news", "hello")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from heliograph.client.errors import (
    ApplicationError,
    BadPayload,
    ConnectFailed,
    ConnectionLost,
    HeliographError,
    JoinRefused,
    PublicationRefused,
    PublishError,
    RequestTimeout,
    ResultsOverrun,
    WampError,
)
from heliograph.logs.library import show_records_of

if TYPE_CHECKING:
    from heliograph.client.adding import Added
    from heliograph.client.authentication import (
        Anonymous,
        Credentials,
        Cryptosign,
        Scram,
        Ticket,
        TlsCertificate,
        WampCra,
    )
    from heliograph.client.connecting import connect
    from heliograph.client.declared import procedure, topic
    from heliograph.client.event import Event, Gap, Missed
    from heliograph.client.events import Events
    from heliograph.client.invocation import Invocation
    from heliograph.client.options import ClientOptions, TlsOptions
    from heliograph.client.payload import Result
    from heliograph.client.progressive_call import ProgressiveCall
    from heliograph.client.publisher import Publisher
    from heliograph.client.registration import Registration
    from heliograph.client.rejoin import Rejoin
    from heliograph.client.session import Session
    from heliograph.client.subscription import Subscription

show_records_of("heliograph.client")

__all__ = [
    "Added",
    "Anonymous",
    "ApplicationError",
    "BadPayload",
    "ClientOptions",
    "ConnectFailed",
    "ConnectionLost",
    "Credentials",
    "Cryptosign",
    "Event",
    "Events",
    "Gap",
    "HeliographError",
    "Invocation",
    "JoinRefused",
    "Missed",
    "ProgressiveCall",
    "PublicationRefused",
    "PublishError",
    "Publisher",
    "Registration",
    "Rejoin",
    "RequestTimeout",
    "Result",
    "ResultsOverrun",
    "Scram",
    "Session",
    "Subscription",
    "Ticket",
    "TlsCertificate",
    "TlsOptions",
    "WampCra",
    "WampError",
    "connect",
    "procedure",
    "topic",
]

_HOMES = {
    "Added": "adding",
    "Anonymous": "authentication",
    "ClientOptions": "options",
    "Credentials": "authentication",
    "Cryptosign": "authentication",
    "Event": "event",
    "Events": "events",
    "Gap": "event",
    "Invocation": "invocation",
    "Missed": "event",
    "ProgressiveCall": "progressive_call",
    "Publisher": "publisher",
    "Registration": "registration",
    "Rejoin": "rejoin",
    "Result": "payload",
    "Scram": "authentication",
    "Session": "session",
    "Subscription": "subscription",
    "Ticket": "authentication",
    "TlsCertificate": "authentication",
    "TlsOptions": "options",
    "WampCra": "authentication",
    "connect": "connecting",
    "procedure": "declared",
    "topic": "declared",
}


def __getattr__(name: str) -> Any:
    # Imported when asked for: who publishes from synchronous code never loads asyncio and WebSockets.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
