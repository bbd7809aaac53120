"""From a URL's path to the service that answers there."""

from collections.abc import Mapping
from urllib.parse import unquote

from heliograph.http.exchange import AsgiApplication, Receive, Scope, Send, answer_text
from heliograph.http.lane import LaneService

ROOT = "/"

_NO_LANE: Mapping[str, LaneService] = {}


class Paths:
    """An ASGI application that hands each request to the path service of its first path component.

    Args:
        services: first component, without slashes, to application; `/` answers what no other does.
        lane: likewise, to those that are no applications and are asked where a request is read.
    """

    def __init__(
        self, services: Mapping[str, AsgiApplication], lane: Mapping[str, LaneService] = _NO_LANE
    ) -> None:
        self._services = {name: service for name, service in services.items() if name != ROOT}
        self._root = services.get(ROOT, _not_found)
        self._lane = {name: service for name, service in lane.items() if name != ROOT}
        self._lane_root = lane.get(ROOT)
        # The usual targets of the lane's requests, looked up without parsing.
        self._lane_targets = {f"/{name}".encode(): service for name, service in self._lane.items()}
        self._has_lane = bool(lane)

    def in_lane(self, target: bytes) -> LaneService | None:
        """Return the service of the lane that answers at a request's target, None for an application's."""
        service = self._lane_targets.get(target)
        if service is not None or not self._has_lane:
            return service
        path = path_of(target)
        if names_nothing(path):
            return None
        name = _first_component(path)
        service = self._lane.get(name)
        return self._lane_root if service is None and name not in self._services else service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; `root_path` tells the service where it is mounted."""
        if names_nothing(scope["path"]):
            await _not_found(scope, receive, send)
            return
        name = _first_component(scope["path"])
        service = self._services.get(name)
        if service is None:
            await self._root(scope, receive, send)
        else:
            scope["root_path"] = f"/{name}"
            await service(scope, receive, send)


def path_of(target: bytes) -> str:
    """Return the path of a request's target, which is ASCII, without escapes."""
    path = target.partition(b"?")[0].decode("ascii")
    return unquote(path) if "%" in path else path


def names_nothing(path: str) -> bool:
    """Return whether a path, without escapes, names nothing that could be served.

    A proxy that forbids some paths resolves `/closed/../open` before it looks, and may pass it on as it came: it must
    not lead to `closed` here. Clients resolve such paths themselves (RFC 3986, section 5.2.4). And `%00` "should be
    rejected if the application is not expecting to receive raw data within a component" (section 7.3).
    """
    if "/." in path and any(segment in (".", "..") for segment in path.split("/")):
        return True
    return "\0" in path


def _first_component(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""


async def _not_found(scope: Scope, _receive: Receive, send: Send) -> None:
    await answer_text(send, 404, f"nothing is served at {scope['path'][:200]}")
