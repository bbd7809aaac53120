"""The configuration a router for tests gets, and what a client needs to know of it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from heliograph.auth.bearer import BearerToken, read_token
from heliograph.config import load
from heliograph.config.options import NodeOptions, Transport
from heliograph.http.options import PublisherOptions
from heliograph.transports.options import (
    UniversalTransportOptions,
    WebSocketServiceOptions,
    WebSocketTransportOptions,
    WebTransportOptions,
)

LOOPBACK = "127.0.0.1"


def open_configuration(realm: str = "realm1") -> dict[str, Any]:
    """Return the configuration a router gets when none is given: everybody may do everything.

    It serves WebSockets at `/ws` and the HTTP bridge at `/notify` (publisher) and `/call` (caller).

    Args:
        realm: the name of its only realm.
    """
    allow = dict.fromkeys(("call", "register", "publish", "subscribe"), True)
    bridge = {"realm": realm, "role": "anonymous"}
    return {
        "version": 2,
        "workers": [
            {
                "type": "router",
                "realms": [
                    {
                        "name": realm,
                        "roles": [
                            {
                                "name": "anonymous",
                                "permissions": [{"uri": "", "match": "prefix", "allow": allow}],
                            }
                        ],
                    }
                ],
                "transports": [
                    {
                        "type": "web",
                        "endpoint": {"type": "tcp", "port": 0, "interface": LOOPBACK},
                        "paths": {
                            "ws": {"type": "websocket"},
                            "notify": {"type": "publisher", **bridge},
                            "call": {"type": "caller", **bridge},
                            "metrics": {"type": "metrics"},
                        },
                    }
                ],
            }
        ],
    }


class Place(Struct, frozen=True):
    """Where something is served.

    Attributes:
        transport: the number of its transport, counted from 0 over the whole node.
        path: on that transport, without slashes at its ends.
    """

    transport: int
    path: str


class Doors(Struct, frozen=True):
    """What a client needs to know of a configuration.

    Attributes:
        realm: the first realm.
        websocket: the first place of WebSockets.
        publisher: the first publisher of that realm.
        token: what it asks for.
        web: the first transport that speaks HTTP.
        can_be_moved: whether `--listen` has an endpoint to replace.
    """

    realm: str | None
    websocket: Place | None
    publisher: Place | None
    token: BearerToken | None
    web: int | None
    can_be_moved: bool


def configuration_file(
    configuration: Mapping[str, Any] | str | Path | None, directory: Path, *, realm: str
) -> Path:
    """Return the file to start from; a configuration that is a value, or none, is written into `directory`."""
    if isinstance(configuration, str | Path):
        return Path(configuration).absolute()
    value = open_configuration(realm) if configuration is None else dict(configuration)
    file = directory / "config.json"
    file.write_text(json.dumps(value))
    return file


def find_doors(file: Path, *, node_directory: Path) -> Doors:
    """Read a configuration as the router does.

    Raises:
        ConfigError: the router would refuse it.
    """
    return _doors(load(file, node_directory=node_directory).options, node_directory)


def _doors(options: NodeOptions, node_directory: Path) -> Doors:
    transports = [transport for worker in options.workers for transport in worker.transports]
    realms = [realm.name for worker in options.workers for realm in worker.realms]
    realm = realms[0] if realms else None
    websocket = publisher = token = None
    for number, transport in enumerate(transports):
        for path, service in _paths(transport):
            place = Place(number, path.strip("/"))
            if isinstance(service, WebSocketServiceOptions):
                websocket = websocket or place
            elif isinstance(service, PublisherOptions) and service.realm == realm and publisher is None:
                publisher, secret = place, service.options.token
                token = None if secret is None else read_token(secret, node_directory)
    speakers = (WebTransportOptions, UniversalTransportOptions)
    web = next((number for number, each in enumerate(transports) if isinstance(each, speakers)), None)
    can_be_moved = any(isinstance(each, WebTransportOptions) for each in transports)
    return Doors(realm, websocket, publisher, token, web, can_be_moved)


def _paths(transport: Transport) -> Iterator[tuple[str, object]]:
    """Return what a transport serves at the paths of its URLs."""
    if isinstance(transport, WebSocketTransportOptions):
        yield "", transport
    elif isinstance(transport, WebTransportOptions):
        yield from transport.paths.items()
    elif isinstance(transport, UniversalTransportOptions):
        yield from transport.websocket.items()
        yield from transport.web.paths.items() if transport.web is not None else ()
