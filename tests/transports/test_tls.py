"""TLS on every transport: certificates, their reload, clients' certificates, and who fails the handshake."""

import asyncio
import gc
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from heliograph.auth.facts import ClientCertificate
from heliograph.config import check
from heliograph.transports.options import TlsOptions
from heliograph.transports.tls import TlsUnusable, server_context
from tests.support.certificates import Identity, client_context
from tests.support.nodes import USUAL_PATHS, RunningNode, node_config, running_node
from tests.support.rawsocket import joined_rawsocket, open_rawsocket
from tests.support.websocket import DEADLINE_S, Address, Connection, Tls, joined, post_json, request

TOPIC = "com.example.t"
KIB, MIB = 1024, 1024 * 1024


class World:
    """An authority, a server and a client of it, and a stranger."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Identity(directory, "authority")
        self.server = Identity(directory, "server", self.authority)
        self.client = Identity(directory, "agent-7", self.authority)
        self.foreign_authority = Identity(directory, "foreign-authority")
        self.stranger = Identity(directory, "stranger", self.foreign_authority)
        self.expired = Identity(directory, "expired", self.authority, is_expired=True)

    def endpoint(self, **tls: Any) -> dict[str, Any]:
        files = {"key": "server.key", "certificate": "server.crt"}
        return {"type": "tcp", "port": 0, "interface": "127.0.0.1", "tls": {**files, **tls}}

    def config(self, kind: str = "web", *, tls: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        parts: dict[str, dict[str, Any]] = {
            "web": {"paths": USUAL_PATHS},
            "websocket": {},
            "rawsocket": {},
            "universal": {"rawsocket": {}, "websocket": {"ws": {}}, "web": {"paths": USUAL_PATHS}},
        }
        if kind == "universal":
            parts["universal"]["web"] = {
                "paths": {name: item for name, item in USUAL_PATHS.items() if name != "ws"}
            }
        endpoint = self.endpoint(**(tls or {}))
        return node_config({"type": kind, "endpoint": endpoint, **parts[kind], **more})

    def door(self, address: Address, identity: Identity | None = None) -> Tls:
        return Tls(address, client_context(self.authority, identity))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def nothing_is_left_to_the_collector() -> Iterator[None]:
    yield
    gc.collect()


async def failed_handshakes(node: RunningNode, count: int) -> None:
    await node.until(lambda: node.counter("transport_tls_handshakes_failed_total") == count)


async def gets_in(door: Tls) -> bool:
    """Whether a RawSocket client is answered; in TLS 1.3 it learns late what became of its certificate."""
    try:
        client = await open_rawsocket(door)
        await client.shake_hands()
    except (OSError, EOFError):
        return False
    return True


class TestEveryTransport:
    @pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
    @pytest.mark.parametrize("kind", ["web", "websocket", "universal"])
    async def test_speaks_websocket_inside(self, world: World, kind: str, serializer: str) -> None:
        async with (
            running_node(world.config(kind), directory=world.directory) as node,
            joined(world.door(node.address), serializer) as client,
        ):
            assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
            large = "x" * 500 * KIB
            await client.send([16, 2, {"exclude_me": False}, TOPIC, [large]])
            assert (await client.receive())[4] == [large]
            (connection,) = node.connections
            assert connection._session.facts.is_encrypted
            await client.leave()
            await node.until(lambda: node.counter("transport_connections") == 0)

    @pytest.mark.parametrize("kind", ["rawsocket", "universal"])
    async def test_speaks_rawsocket_inside(self, world: World, kind: str) -> None:
        async with (
            running_node(world.config(kind), directory=world.directory) as node,
            joined_rawsocket(world.door(node.address), "cbor") as client,
        ):
            assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
            await client.send(bytes([7, 0, 0, 0]))
            assert (await client.aborted())[0] == "wamp.error.protocol_violation"
            await node.until(lambda: node.counter("transport_connections") == 0)

    @pytest.mark.parametrize("kind", ["web", "universal"])
    async def test_speaks_http_inside(self, world: World, kind: str) -> None:
        async with running_node(world.config(kind), directory=world.directory) as node:
            door = world.door(node.address)
            assert (await post_json(door, "/notify", {"topic": TOPIC})).status == 200
            for target in ("/metrics", "https://localhost/metrics", "http://localhost/metrics"):
                assert (await request(door, "GET", target)).status == 200
            host, port = node.address
            assert node.node.urls == [f"https://{host}:{port}/"]

    async def test_names_its_scheme(self, world: World) -> None:
        for kind, scheme in (("websocket", "wss"), ("rawsocket", "rss")):
            async with running_node(world.config(kind), directory=world.directory) as node:
                assert node.node.urls == ["{}://{}:{}/".format(scheme, *node.address)]

    async def test_agrees_on_http_when_asked(self, world: World) -> None:
        context = client_context(world.authority)
        context.set_alpn_protocols(["h2", "http/1.1"])
        async with running_node(world.config(), directory=world.directory) as node:
            connection = await Connection.open(Tls(node.address, context))
            tls = connection.writer.get_extra_info("ssl_object")
            assert tls.selected_alpn_protocol() == "http/1.1"
            assert tls.version() == "TLSv1.3"

    async def test_listens_on_ipv6(self, world: World) -> None:
        endpoint = {**world.endpoint(), "interface": "::1", "version": 6}
        config = node_config({"type": "rawsocket", "endpoint": endpoint})
        async with (
            running_node(config, directory=world.directory) as node,
            joined_rawsocket(Tls(("::1", node.address[1]), client_context(world.authority))),
        ):
            (connection,) = node.connections
            assert connection._session.facts.address == "::1"
            assert node.node.urls == [f"rss://[::1]:{node.address[1]}/"]


class TestHandshake:
    async def test_of_a_client_without_tls_fails_and_is_counted(self, world: World) -> None:
        async with running_node(world.config(), directory=world.directory) as node:
            async with joined(world.door(node.address)) as bystander:
                plain = await Connection.open(node.address)
                await plain.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await plain.ends()
                await failed_handshakes(node, 1)
                assert (await bystander.ask(32, 1, {}, TOPIC))[0] == 33
            await node.until(lambda: node.counter("transport_connections") == 0)

    async def test_of_an_old_version_fails(self, world: World) -> None:
        context = client_context(world.authority)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        async with running_node(world.config(), directory=world.directory) as node:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await Connection.open(Tls(node.address, context))
            await failed_handshakes(node, 1)

    @pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00"], ids=["nothing", "a beginning"])
    async def test_that_stands_still_ends_after_the_timeout(self, world: World, sent: bytes) -> None:
        config = world.config(tls={"handshake_timeout_s": 0.2})
        async with running_node(config, directory=world.directory) as node:
            slow = await Connection.open(node.address)
            await slow.send(sent)
            await node.until(lambda: node.counter("transport_connections") == 1)
            assert await slow.ends() == b""
            await failed_handshakes(node, 1)
            assert node.counter("transport_connections") == 0

    @pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00"], ids=["nothing", "a beginning"])
    @pytest.mark.parametrize("how", ["reset", "end"])
    async def test_that_is_given_up_is_forgotten(self, world: World, how: str, sent: bytes) -> None:
        async with running_node(world.config(), directory=world.directory) as node:
            client = await Connection.open(node.address)
            await client.send(sent)
            await node.until(lambda: node.counter("transport_connections") == 1)
            if how == "reset":
                client.abort()
            else:
                client.writer.write_eof()
            await failed_handshakes(node, 1)
            assert node.counter("transport_connections") == 0

    async def test_octet_by_octet_succeeds(self, world: World) -> None:
        async with running_node(world.config("rawsocket"), directory=world.directory) as node:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = client_context(world.authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
            plain = await Connection.open(node.address)
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    try:
                        client.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        for octet in outgoing.read():
                            await plain.send(bytes([octet]))
                        incoming.write(await plain.reader.read(4096))
            client.write(b"\x7f\xf1\0\0")
            for octet in outgoing.read():
                await plain.send(bytes([octet]))
            answer = b""
            async with asyncio.timeout(DEADLINE_S):
                while len(answer) < 4:
                    try:
                        answer += client.read(4)
                    except ssl.SSLWantReadError:
                        incoming.write(await plain.reader.read(4096))
            assert answer == bytes.fromhex("7fb10000")

    async def test_counts_into_the_most_connections(self, world: World) -> None:
        config = world.config(max_connections=1)
        async with running_node(config, directory=world.directory) as node:
            shaking = await Connection.open(node.address)
            await node.until(lambda: node.counter("transport_connections") == 1)
            second = await Connection.open(node.address)
            assert await second.ends() == b""
            assert node.counter("transport_connections_refused_total") == 1
            shaking.abort()
            await node.until(lambda: node.counter("transport_connections") == 0)
            async with joined(world.door(node.address)):
                assert node.counter("transport_connections") == 1

    async def test_is_dropped_when_the_node_stops(self, world: World) -> None:
        async with running_node(world.config(), directory=world.directory) as node:
            silent = await Connection.open(node.address)
            shaking = await Connection.open(node.address)
            await shaking.send(b"\x16\x03\x01\x02\x00\x01\x00")
            await node.until(lambda: node.counter("transport_connections") == 2)
            await asyncio.wait_for(node.node.stop(), 5)
            for client in (silent, shaking):
                assert await client.ends() == b""


class TestClientCertificate:
    async def test_is_known_to_the_session(self, world: World) -> None:
        config = world.config("rawsocket", tls={"ca_certificates": ["authority.crt"]})
        async with (
            running_node(config, directory=world.directory) as node,
            joined_rawsocket(world.door(node.address, world.client)),
        ):
            (connection,) = node.connections
            facts = connection._session.facts
            assert facts.is_encrypted
            assert isinstance(facts.certificate, ClientCertificate)
            assert facts.certificate.subject == "CN=agent-7,O=Example"
            assert facts.certificate.der == world.client.der
            assert len(facts.certificate.sha1), len(facts.certificate.sha256) == (40, 64)
            assert facts.channel_ids == {}

    async def test_of_tls_1_2_comes_with_the_channels_id(self, world: World) -> None:
        context = client_context(world.authority, world.client)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        async with (
            running_node(world.config("rawsocket"), directory=world.directory) as node,
            joined_rawsocket(Tls(node.address, context)) as client,
        ):
            (connection,) = node.connections
            unique = client.writer.get_extra_info("ssl_object").get_channel_binding("tls-unique")
            assert connection._session.facts.channel_ids == {"tls-unique": unique}
            # Nobody asked for it.
            assert connection._session.facts.certificate is None

    @pytest.mark.parametrize("who", ["nobody", "stranger", "expired"])
    async def test_that_is_not_good_fails_and_others_keep_their_service(self, world: World, who: str) -> None:
        config = world.config("rawsocket", tls={"ca_certificates": ["authority.crt"]})
        identity = {"nobody": None, "stranger": world.stranger, "expired": world.expired}[who]
        async with (
            running_node(config, directory=world.directory) as node,
            joined_rawsocket(world.door(node.address, world.client)) as bystander,
        ):
            assert not await gets_in(world.door(node.address, identity))
            await failed_handshakes(node, 1)
            assert (await bystander.ask(32, 1, {}, TOPIC))[0] == 33

    async def test_may_be_optional(self, world: World) -> None:
        tls = {"ca_certificates": ["authority.crt"], "client_certificates": "optional"}
        config = world.config("rawsocket", tls=tls)
        async with (
            running_node(config, directory=world.directory) as node,
            joined_rawsocket(world.door(node.address)),
        ):
            (connection,) = node.connections
            assert connection._session.facts.certificate is None
            assert not await gets_in(world.door(node.address, world.stranger))
            await failed_handshakes(node, 1)
            async with joined_rawsocket(world.door(node.address, world.client)):
                certificates = [each._session.facts.certificate for each in node.connections]
                assert sum(certificate is not None for certificate in certificates) == 1


class TestReload:
    @pytest.fixture
    def own(self, tmp_path: Path) -> World:
        return World(tmp_path)

    @staticmethod
    async def shown(node: RunningNode, world: World) -> bytes:
        """Return the certificate a new client is shown."""
        connection = await Connection.open(world.door(node.address))
        der = connection.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        connection.abort()
        assert isinstance(der, bytes)
        return der

    async def test_takes_a_changed_certificate_and_drops_nobody(self, own: World) -> None:
        config = own.config("rawsocket", tls={"reload_interval_s": 0.1})
        async with (
            running_node(config, directory=own.directory) as node,
            joined_rawsocket(own.door(node.address)) as early,
        ):
            assert await self.shown(node, own) == own.server.der
            renewed = Identity(own.directory, "renewed", own.authority)
            os.replace(renewed.key_file, own.server.key_file)
            os.replace(renewed.certificate_file, own.server.certificate_file)
            await node.until(lambda: node.counter("transport_certificates_reloaded_total") >= 1)
            assert await self.shown(node, own) == renewed.der
            assert (await early.ask(32, 1, {}, TOPIC))[0] == 33

    async def test_keeps_the_old_one_when_the_new_one_is_broken(
        self, own: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        config = own.config("rawsocket", tls={"reload_interval_s": 0.1})
        async with running_node(config, directory=own.directory) as node:
            own.server.certificate_file.write_text("garbage")
            await node.until(lambda: node.counter("transport_certificate_reloads_failed_total") == 1)
            assert await self.shown(node, own) == own.server.der
            assert "the old TLS certificate stays in use" in caplog.text
            assert "server.crt holds no certificate in PEM" in caplog.text
            own.server.certificate_file.unlink()
            await node.until(lambda: node.counter("transport_certificate_reloads_failed_total") == 2)
            assert await self.shown(node, own) == own.server.der
            own.server.certificate_file.write_bytes(own.server.pem)
            await node.until(lambda: node.counter("transport_certificates_reloaded_total") == 1)
            assert await self.shown(node, own) == own.server.der

    async def test_is_for_clients_authorities_as_well(self, own: World) -> None:
        config = own.config(
            "rawsocket", tls={"reload_interval_s": None, "ca_certificates": ["authority.crt"]}
        )
        async with running_node(config, directory=own.directory) as node:
            own.authority.certificate_file.rename(own.directory / "kept.crt")
            os.replace(own.foreign_authority.certificate_file, own.authority.certificate_file)
            node.node.reload_certificates()
            os.replace(own.directory / "kept.crt", own.authority.certificate_file)
            assert node.counter("transport_certificates_reloaded_total") == 1
            async with joined_rawsocket(own.door(node.address, own.stranger)):
                pass
            assert not await gets_in(own.door(node.address, own.client))


class TestFiles:
    @pytest.fixture
    def own(self, tmp_path: Path) -> World:
        return World(tmp_path)

    async def test_of_a_chain_lead_to_the_authority(self, own: World) -> None:
        between = Identity(own.directory, "between", own.authority, is_authority=True)
        server = Identity(own.directory, "leaf", between)
        tls = {"key": server.key_file.name, "certificate": server.certificate_file.name}
        chain = {"chain_certificates": [between.certificate_file.name]}
        config = own.config("rawsocket", tls=tls | chain)
        async with (
            running_node(config, directory=own.directory) as node,
            joined_rawsocket(own.door(node.address)),
        ):
            pass
        async with running_node(own.config("rawsocket", tls=tls), directory=own.directory) as node:
            with pytest.raises(ssl.SSLCertVerificationError):
                await open_rawsocket(own.door(node.address))
            await failed_handshakes(node, 1)

    async def test_may_hold_key_and_certificate_together(self, own: World) -> None:
        both = own.directory / "both.pem"
        both.write_bytes(own.server.key_pem() + own.server.pem)
        config = own.config(
            "rawsocket",
            tls={"key": both.name, "certificate": both.name, "chain_certificates": ["authority.crt"]},
        )
        async with (
            running_node(config, directory=own.directory) as node,
            joined_rawsocket(own.door(node.address)),
        ):
            pass

    @pytest.mark.parametrize(
        ("change", "option", "text"),
        [
            ({"key": "none.key"}, "key", "none.key: no such file or directory"),
            ({"certificate": "none.crt"}, "certificate", "none.crt: no such file or directory"),
            (
                {"chain_certificates": ["none.crt"]},
                "chain_certificates",
                "none.crt: no such file or directory",
            ),
            ({"ca_certificates": ["none.crt"]}, "ca_certificates", "none.crt: no such file or directory"),
            ({"key": "agent-7.key"}, "key", "agent-7.key does not belong to the certificate in"),
            ({"key": "other-kind.key"}, "key", "other-kind.key does not belong to the certificate in"),
            ({"key": "server.crt"}, "key", "server.crt holds no private key in PEM"),
            ({"key": "locked.key"}, "key", "locked.key is encrypted; store it without a passphrase"),
            ({"certificate": "server.key"}, "certificate", "server.key holds no certificate in PEM"),
            ({"ca_certificates": ["garbage"]}, "ca_certificates", "garbage holds no certificate in PEM"),
            ({"dhparam": "garbage"}, "dhparam", "garbage holds no Diffie-Hellman parameters in PEM"),
            ({"ciphers": "NO-SUCH-CIPHER"}, "ciphers", "OpenSSL knows none of them"),
        ],
    )
    def test_that_cannot_be_used_are_told_by_check_and_at_the_start(
        self, own: World, change: dict[str, Any], option: str, text: str
    ) -> None:
        (own.directory / "garbage").write_text("garbage")
        other_kind = ed25519.Ed25519PrivateKey.generate()
        (own.directory / "other-kind.key").write_bytes(
            other_kind.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (own.directory / "locked.key").write_bytes(own.server.key_pem(b"secret"))
        options = {"key": "server.key", "certificate": "server.crt", **change}
        with pytest.raises(TlsUnusable) as unusable:
            server_context(TlsOptions(**options), own.directory)  # type: ignore[arg-type]
        assert unusable.value.option == option
        assert text in unusable.value.text
        checked = check(own.config(tls=change), node_directory=own.directory)
        assert checked.options is None
        (problem,) = [each for each in checked.problems if each.severity == "error"]
        assert problem.where.endswith(f"endpoint.tls.{option}")
        assert text in problem.message

    def test_of_clients_without_authorities_are_warned_of(self, own: World) -> None:
        checked = check(own.config(tls={"client_certificates": "optional"}), node_directory=own.directory)
        assert checked.options is not None
        assert any("clients are not asked for certificates" in each.message for each in checked.problems)

    def test_of_diffie_hellman_and_ciphers_are_taken(self, own: World) -> None:
        # The group of RFC 7919 with 2048 bits.
        (own.directory / "dh.pem").write_text(FFDHE2048)
        options = TlsOptions(
            key="server.key", certificate="server.crt", dhparam="dh.pem", ciphers="ECDHE+AESGCM"
        )
        context = server_context(options, own.directory)
        old = [each["name"] for each in context.get_ciphers() if each["protocol"] != "TLSv1.3"]
        assert old
        assert all(name.startswith("ECDHE") for name in old)


FFDHE2048 = """\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""


async def test_the_pure_event_loop_can_do_it_too(world: World) -> None:
    """Other loops than uvloop have another TLS, to which the first bytes are handed the same way."""
    config = world.config("rawsocket", tls={"ca_certificates": ["authority.crt"]})

    async def talk() -> None:
        async with (
            running_node(config, directory=world.directory) as node,
            joined_rawsocket(world.door(node.address, world.client)) as client,
        ):
            assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
            (connection,) = node.connections
            assert connection._session.facts.certificate is not None

    def run() -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(talk())

    await asyncio.to_thread(run)


class TestOutbox:
    LIMIT = 256 * KIB

    async def test_of_a_slow_reader_counts_what_waits_encrypted(self, world: World) -> None:
        config = world.config(
            "rawsocket", outbox={"limit_bytes": self.LIMIT}, options={"close_timeout_s": 0.2}
        )
        async with (
            running_node(config, directory=world.directory) as node,
            joined_rawsocket(world.door(node.address)) as publisher,
            joined_rawsocket(world.door(node.address)) as slow,
            joined_rawsocket(world.door(node.address)) as healthy,
        ):
            for client in (slow, healthy):
                assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
            slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
            sent = 0
            while node.counter("transport_slow_receivers_total") == 0:
                await publisher.ask(16, 1, {"acknowledge": True}, TOPIC, [sent, "x" * 32 * KIB])
                assert (await healthy.receive())[4][0] == sent
                sent += 1
                assert sent < 2000, "the receiver was never found to be slow"
                waiting = [connection.waiting_bytes for connection in node.connections]
                assert max(waiting) <= self.LIMIT + 34 * KIB
            assert node.counter("transport_frames_dropped_total") >= 1
            await node.until(lambda: len(node.connections) == 2)

    async def test_counts_one_large_message_wherever_it_waits(self, world: World) -> None:
        async with (
            running_node(world.config("rawsocket"), directory=world.directory) as node,
            joined_rawsocket(world.door(node.address)) as publisher,
            joined_rawsocket(world.door(node.address)) as slow,
        ):
            assert (await slow.ask(32, 1, {}, TOPIC))[0] == 33
            (receiver,) = [each for each in node.connections if each._session.id == slow.session_id]
            slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(4):
                await publisher.ask(16, 1, {"acknowledge": True}, TOPIC, ["x" * 900 * KIB])
            # Loopback's buffers take a part; what is left is nearly all of it, not the 64 KiB the encryption keeps.
            assert receiver.waiting_bytes > 2 * MIB
