"""The configuration that Heliograph and Crossbar.io read alike."""

from pathlib import Path
from typing import Any

from benchmarks.building import certificate
from benchmarks.peers.peer import Wants


def configuration(port: int, wants: Wants) -> dict[str, Any]:
    """Return a node with realm1, open to anybody; WAMP is at /ws, the bridge at /notify."""
    everything = {"publish": True, "subscribe": True, "call": True, "register": True}
    role = {"name": "anonymous", "permissions": [{"uri": "", "match": "prefix", "allow": everything}]}
    endpoint: dict[str, Any] = {"type": "tcp", "interface": "127.0.0.1", "port": port, "backlog": 1024}
    if wants.tls:
        files = certificate()
        endpoint["tls"] = {"certificate": str(files[0]), "key": str(files[1])}
    transport: dict[str, Any] = {
        "type": "web",
        "endpoint": endpoint,
        "paths": {
            "/": {"type": "static", "directory": "."},
            "ws": {"type": "websocket", "serializers": ["cbor", "msgpack", "json"]},
            "notify": {"type": "publisher", "realm": "realm1", "role": "anonymous"},
        },
    }
    worker: dict[str, Any] = {
        "type": "router",
        "realms": [{"name": "realm1", "roles": [role]}],
        "transports": [transport],
    }
    if wants.site:
        transport["paths"]["/"] = {"type": "wsgi", "module": "busy_site", "object": "application"}
        worker["options"] = {"pythonpath": [str(Path(__file__).parent / "applications")]}
    return {"version": 2, "workers": [worker]}
