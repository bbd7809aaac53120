"""A Channels group: who connects to /ws gets what is written to /publish. Runs in Channels' own environment."""

import os

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

GROUP = "clientstats"

settings.configure(
    SECRET_KEY="benchmarks",
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            # The defaults, 100 of each, would drop what a slow moment leaves behind, and end connections.
            "CONFIG": {
                "hosts": [
                    {
                        "address": f"redis://127.0.0.1:{os.environ['REDIS_PORT']}",
                        "max_connections": 100_000,
                    }
                ],
                "capacity": 100_000,
            },
        }
    },
)
django.setup()


class Subscriber(AsyncWebsocketConsumer):
    """Gets the group's events."""

    async def connect(self):
        """Join the group before the connection is accepted, so that nothing is missed."""
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()

    async def disconnect(self, _code):
        """Leave the group."""
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def clientstats(self, event):
        """Pass an event on."""
        await self.send(text_data=event["text"])


class Publisher(AsyncWebsocketConsumer):
    """Sends what it is written to the group."""

    async def receive(self, text_data=None, bytes_data=None):
        """Publish one event."""
        await self.channel_layer.group_send(GROUP, {"type": "clientstats", "text": text_data})


application = ProtocolTypeRouter(
    {"websocket": URLRouter([path("ws", Subscriber.as_asgi()), path("publish", Publisher.as_asgi())])}
)
