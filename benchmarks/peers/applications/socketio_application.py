"""Socket.IO rooms: who joins one gets what anybody publishes to it. Runs in python-socketio's own environment."""

import socketio

server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins=[])
application = socketio.ASGIApp(server)


@server.event
async def join(sid, topic):
    """Subscribe a client to a topic."""
    await server.enter_room(sid, topic)


@server.event
async def publish(_sid, topic, payload):
    """Send an event to everybody in the topic's room."""
    await server.emit("event", payload, room=topic)
