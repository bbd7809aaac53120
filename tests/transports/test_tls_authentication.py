"""A client's certificate, verified in a real TLS handshake, tells who it is."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from tests.support.certificates import Identity, client_context
from tests.support.nodes import OPEN_REALM, RunningNode, node_config, running_node
from tests.support.websocket import HELLO_ROLES, Tls, WampClient, connect_wamp


class World:
    """An authority, a server and two clients it has signed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Identity(directory, "authority", is_authority=True)
        Identity(directory, "server", self.authority)
        self.agent = Identity(directory, "agent-7", self.authority)
        self.other = Identity(directory, "agent-8", self.authority)

    def config(self, mark: dict[str, str]) -> dict[str, Any]:
        tls = {"key": "server.key", "certificate": "server.crt", "ca_certificates": ["authority.crt"]}
        auth = {
            "tls": {"type": "static", "principals": {"agent": {**mark, "role": "anonymous"}}},
            "ticket": {"type": "static", "principals": {"joe": {"ticket": "s3cret", "role": "anonymous"}}},
        }
        transport = {
            "type": "web",
            "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1", "tls": tls},
            "paths": {"ws": {"type": "websocket", "auth": auth}},
        }
        return node_config(transport, realm=OPEN_REALM)

    def context(self, identity: Identity) -> ssl.SSLContext:
        return client_context(self.authority, identity)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def hello(node: RunningNode, context: ssl.SSLContext, *methods: str) -> tuple[WampClient, list[Any]]:
    """Say HELLO and return the client and the answer."""
    client = await connect_wamp(Tls(node.address, context))
    details = {"roles": HELLO_ROLES, "authmethods": list(methods)}
    return client, await client.ask(1, "realm1", details)


@pytest.mark.parametrize("named_by", ["sha1", "sha256", "subject"])
async def test_the_certificate_tells_who_it_is(world: World, named_by: str) -> None:
    marks = {
        "sha1": {"certificate-sha1": world.agent.certificate.fingerprint(hashes.SHA1()).hex(":").upper()},
        "sha256": {"certificate-sha256": world.agent.certificate.fingerprint(hashes.SHA256()).hex()},
        "subject": {"subject": "CN=agent-7,O=Example"},
    }
    async with running_node(world.config(marks[named_by]), directory=world.directory) as node:
        _, welcome = await hello(node, world.context(world.agent), "tls")
        assert (welcome[0], welcome[2]["authid"], welcome[2]["authmethod"]) == (2, "agent", "tls")
        _, abort = await hello(node, world.context(world.other), "tls")
        assert (abort[0], abort[2]) == (3, "wamp.error.authentication_denied")
        _, challenge = await hello(node, world.context(world.other), "tls", "ticket")
        assert challenge == [4, "ticket", {}]
