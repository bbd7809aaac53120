"""The WAMP client: `connect` for asyncio, `Publisher` for synchronous code.

async with connect("ws://127.0.0.1:8080/ws", realm="realm1") as session:
    await session.subscribe(print, "com.example.news")
    await session.publish("com.example.news", "hello")
"""

from heliograph.client.connecting import connect
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
    WampError,
)
from heliograph.client.options import ClientOptions
from heliograph.client.payload import Result
from heliograph.client.registration import Registration
from heliograph.client.session import Session
from heliograph.client.subscription import Event, Subscription

__all__ = [
    "ApplicationError",
    "BadPayload",
    "ClientOptions",
    "ConnectFailed",
    "ConnectionLost",
    "Event",
    "HeliographError",
    "JoinRefused",
    "PublicationRefused",
    "PublishError",
    "Registration",
    "RequestTimeout",
    "Result",
    "Session",
    "Subscription",
    "WampError",
    "connect",
]
