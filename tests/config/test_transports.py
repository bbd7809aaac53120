"""Transports of every type: what `check` reads, warns of and refuses."""

from pathlib import Path
from typing import Any

import pytest

from heliograph.config import check
from heliograph.config.listen import with_listen
from heliograph.transports.options import (
    RawSocketTransportOptions,
    UniversalTransportOptions,
    WebSocketTransportOptions,
)
from tests.support.nodes import node_config

TCP = {"type": "tcp", "port": 8080}
LOOPBACK = {**TCP, "interface": "127.0.0.1"}


def problems(*transports: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in check(node_config(*transports), node_directory=Path("/")).problems]


def read(transport: dict[str, Any]) -> Any:
    checked = check(node_config(transport), node_directory=Path("/"))
    assert checked.options is not None, checked.problems
    assert not checked.problems
    (worker,) = checked.options.workers
    return worker.transports[0]


class TestCrossbarsOwn:
    """Blocks as they stand in files for Crossbar.io."""

    def test_rawsocket(self) -> None:
        transport = read(
            {
                "type": "rawsocket",
                "endpoint": LOOPBACK,
                "serializers": ["cbor", "msgpack"],
                "max_connections": 100,
                "options": {"max_message_size": 1048576},
                "auth": {"anonymous": {"type": "static", "role": "anonymous"}},
            }
        )
        assert isinstance(transport, RawSocketTransportOptions)
        assert transport.options.max_message_bytes == 1048576
        assert transport.max_connections == 100

    def test_websocket(self) -> None:
        transport = read(
            {
                "type": "websocket",
                "id": "ws1",
                "endpoint": {**LOOPBACK, "backlog": 100},
                "url": "ws://localhost:8080",
                "serializers": ["json"],
                "options": {"auto_ping_interval": 10000, "allowed_origins": ["*"]},
            }
        )
        assert isinstance(transport, WebSocketTransportOptions)
        assert transport.options.ping_interval_s == 10.0

    def test_universal(self) -> None:
        transport = read(
            {
                "type": "universal",
                "endpoint": LOOPBACK,
                "rawsocket": {"serializers": ["msgpack"]},
                "websocket": {"ws": {"type": "websocket", "url": "ws://localhost:8080/ws"}},
                "web": {"paths": {"/": {"type": "metrics"}}},
            }
        )
        assert isinstance(transport, UniversalTransportOptions)
        assert list(transport.websocket) == ["ws"]
        assert transport.rawsocket is not None


@pytest.mark.parametrize(
    ("transport", "said"),
    [
        (
            {"type": "rawsocket", "endpoint": LOOPBACK, "options": {"max_message_size": 0}},
            "workers[0].transports[0].options.max_message_size: warning: 0 is read as the largest limit, 16 MiB",
        ),
        (
            {"type": "rawsocket", "endpoint": LOOPBACK, "debug": True},
            "workers[0].transports[0].debug: warning: ignored: an old form without effect",
        ),
        (
            {"type": "rawsocket", "endpoint": LOOPBACK, "serializers": ["json.batched"]},
            'workers[0].transports[0].serializers[0]: expected "cbor", "json" or "msgpack", got "json.batched"',
        ),
        (
            {"type": "rawsocket", "endpoint": LOOPBACK, "serializers": ["json", "json"]},
            'workers[0].transports[0].serializers[1]: "json" is listed already',
        ),
        (
            {"type": "rawsocket", "endpoint": LOOPBACK, "anonymous_role": "guest"},
            'workers[0].transports[0].anonymous_role: no realm of this router has a role "guest"',
        ),
        (
            {"type": "rawsocket", "endpoint": LOOPBACK, "max_connections": 0},
            "workers[0].transports[0].max_connections: expected a whole number from 1 to 10000000, got 0",
        ),
        (
            {"type": "universal", "endpoint": LOOPBACK},
            "workers[0].transports[0]: warning: has neither `rawsocket` nor `websocket` nor `web`",
        ),
        (
            {"type": "universal", "endpoint": LOOPBACK, "rawsocket": {}, "mqtt": {}},
            "workers[0].transports[0].mqtt: known, not supported yet",
        ),
        (
            {
                "type": "universal",
                "endpoint": LOOPBACK,
                "websocket": {"a": {}},
                "web": {"paths": {"a": {"type": "metrics"}}},
            },
            "workers[0].transports[0].websocket.a: workers[0].transports[0].web.paths.a has the same path",
        ),
    ],
)
def test_what_is_odd_is_told(transport: dict[str, Any], said: str) -> None:
    assert any(problem.startswith(said) for problem in problems(transport)), problems(transport)


@pytest.mark.parametrize(
    ("transport", "door"),
    [
        ({"type": "rawsocket", "endpoint": TCP}, "workers[0].transports[0]"),
        ({"type": "websocket", "endpoint": TCP}, "workers[0].transports[0]"),
        (
            {"type": "universal", "endpoint": TCP, "rawsocket": {}},
            "workers[0].transports[0].rawsocket",
        ),
        (
            {"type": "universal", "endpoint": TCP, "websocket": {"ws": {}}},
            "workers[0].transports[0].websocket.ws",
        ),
        (
            {"type": "universal", "endpoint": TCP, "web": {"paths": {"ws": {"type": "websocket"}}}},
            "workers[0].transports[0].web.paths.ws",
        ),
    ],
)
def test_a_door_that_stands_open_is_warned_of_loudly(transport: dict[str, Any], door: str) -> None:
    checked = check(node_config(transport), node_directory=Path("/"))
    (loud,) = [problem for problem in checked.problems if problem.loud]
    assert f"whoever reaches {door} on port 8080" in loud.message


def test_another_address_to_listen_on_leaves_tls_as_it_is() -> None:
    tls = {"key": "server.key", "certificate": "server.crt"}
    node = node_config({"type": "web", "endpoint": {**TCP, "tls": tls}, "paths": {}})
    changed: Any = with_listen(node, "127.0.0.1", 9000, source="config.json")
    assert changed["workers"][0]["transports"][0]["endpoint"] == {
        "type": "tcp",
        "interface": "127.0.0.1",
        "port": 9000,
        "version": 4,
        "tls": tls,
    }
