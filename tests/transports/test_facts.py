"""What a socket tells of the other end."""

from pathlib import Path

import pytest

from heliograph.auth.facts import ConnectionFacts
from heliograph.transports.facts import connection_facts
from tests.support.nodes import node_config, running_node, web_transport
from tests.support.websocket import joined


class Transport:
    def __init__(self, **known: object) -> None:
        self._known = known

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._known.get(name, default)


@pytest.mark.parametrize(
    ("peer", "address", "is_local"),
    [
        (("192.0.2.7", 4711), "192.0.2.7", False),
        (("127.3.2.1", 4711), "127.3.2.1", True),
        (("2001:db8::7", 4711, 0, 0), "2001:db8::7", False),
        (("fe80::7%eth0", 4711, 0, 2), "fe80::7", False),
        (("::1", 4711, 0, 0), "::1", True),
        (("::ffff:192.0.2.7", 4711, 0, 0), "192.0.2.7", False),
        (("::ffff:127.0.0.1", 4711, 0, 0), "127.0.0.1", True),
        ("", None, False),
        (None, None, False),
    ],
)
def test_the_address_is_the_peers_without_port_and_zone(
    peer: object, address: str | None, is_local: bool
) -> None:
    facts = connection_facts(Transport(peername=peer))
    assert facts == ConnectionFacts(address=address, is_local=is_local)


async def test_a_session_over_tcp_knows_its_peers_address() -> None:
    async with running_node(node_config(web_transport())) as node, joined(node.address):
        (connection,) = node.connections
        assert connection._session.facts == ConnectionFacts(address="127.0.0.1", is_local=True)


async def test_a_session_over_a_unix_socket_is_local_and_has_no_address(tmp_path: Path) -> None:
    transport = {**web_transport(), "endpoint": {"type": "unix", "path": "router.sock"}}
    async with (
        running_node(node_config(transport), directory=tmp_path) as node,
        joined(str(tmp_path / "router.sock")),
    ):
        (connection,) = node.connections
        assert connection._session.facts == ConnectionFacts(is_local=True)
