"""From a URL's path to the service that answers there."""

from collections.abc import Mapping

from heliograph.http.exchange import AsgiApplication, Receive, Scope, Send, answer_text

ROOT = "/"


class Paths:
    """An ASGI application that hands each request to the path service of its first path component.

    Args:
        services: first component, without slashes, to application; `/` answers what no other does.
    """

    def __init__(self, services: Mapping[str, AsgiApplication]) -> None:
        self._services = {name: service for name, service in services.items() if name != ROOT}
        self._root = services.get(ROOT, _not_found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; `root_path` tells the service where it is mounted."""
        name = scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else ""
        service = self._services.get(name)
        if service is None:
            await self._root(scope, receive, send)
        else:
            scope["root_path"] = f"/{name}"
            await service(scope, receive, send)


async def _not_found(scope: Scope, _receive: Receive, send: Send) -> None:
    await answer_text(send, 404, f"nothing is served at {scope['path'][:200]}")


async def websocket_only(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer a plain HTTP request at a WebSocket endpoint."""
    text = "this is a WAMP endpoint: connect with a WebSocket and a subprotocol such as wamp.2.json"
    await answer_text(send, 426, text, {"Upgrade": "websocket", "Connection": "Upgrade"})
