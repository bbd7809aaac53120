"""The client for scripts and threads: the same session, without asyncio.

with connect("ws://127.0.0.1:8080/ws") as session:
    print(session.call("com.example.add", 2, 3))
    for event in session.events("com.example.news", timeout_s=60):
        print(event.args)
"""

from heliograph.client.blocking.connecting import connect
from heliograph.client.blocking.events import Events
from heliograph.client.blocking.handlers import Invocation
from heliograph.client.blocking.progressive_call import ProgressiveCall
from heliograph.client.blocking.session import Added, Registration, Session, Subscription

__all__ = [
    "Added",
    "Events",
    "Invocation",
    "ProgressiveCall",
    "Registration",
    "Session",
    "Subscription",
    "connect",
]
