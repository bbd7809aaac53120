"""TLS: certificates are verified, and what does not verify is never talked to."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from heliograph import Publisher, cli
from heliograph.client import (
    ClientOptions,
    ConnectFailed,
    ConnectionLost,
    PublishError,
    TlsOptions,
    connect,
)
from tests.client.scripted_http import ScriptedHttp
from tests.client.scripted_rawsocket import ScriptedRawRouter
from tests.client.scripted_router import ScriptedRouter

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, its key in the same file."""
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(directory / "key.pem"), "-out", str(directory / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )  # fmt: skip
    whole = directory / "whole.pem"
    whole.write_text((directory / "key.pem").read_text() + (directory / "certificate.pem").read_text())
    return whole


@pytest.fixture(scope="module")
def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(scope="module")
def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def server(serving: ssl.SSLContext) -> Iterator[ScriptedHttp]:
    scripted = ScriptedHttp(serving)
    yield scripted
    scripted.stop()


async def test_a_session_over_tls(
    router: ScriptedRouter, serving: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    await router.stop()
    router.tls = serving
    await router.start()
    async with connect(router.url, tls=trusting) as session:
        assert await session.call("a.b", "x" * 100_000) == "x" * 100_000


@pytest.fixture
async def raw_router(serving: ssl.SSLContext) -> AsyncIterator[ScriptedRawRouter]:
    scripted = ScriptedRawRouter()
    scripted.tls = serving
    await scripted.start()
    yield scripted
    await scripted.stop()


async def test_a_rawsocket_session_over_tls(raw_router: ScriptedRawRouter, certificate: Path) -> None:
    async with connect(raw_router.url, tls=TlsOptions(ca_file=str(certificate))) as session:
        assert raw_router.url.startswith("rss:")
        assert await session.call("a.b", "x" * 100_000) == "x" * 100_000
    with pytest.raises(ConnectFailed, match=r"does not verify: self.signed certificate"):
        async with connect(raw_router.url, retry_first=True):
            pass
    other_name = raw_router.url.replace("127.0.0.1", "localhost")
    with pytest.raises(ConnectFailed, match=r"does not verify: Hostname mismatch"):
        async with connect(other_name, tls=TlsOptions(ca_file=str(certificate))):
            pass


@pytest.mark.parametrize("transport", ["websocket", "rawsocket"])
async def test_a_client_proves_who_it_is_by_its_certificate(
    certificate: Path, router: ScriptedRouter, transport: str
) -> None:
    demanding = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    demanding.load_cert_chain(certificate)
    demanding.load_verify_locations(certificate)
    demanding.verify_mode = ssl.CERT_REQUIRED
    scripted = router if transport == "websocket" else ScriptedRawRouter()
    await scripted.stop()
    scripted.tls = demanding
    await scripted.start()
    name = str(certificate)
    try:
        async with connect(scripted.url, tls=TlsOptions(ca_file=name, cert_file=name)) as session:
            assert await session.call("a.b", 1) == 1
        with pytest.raises((ConnectFailed, ConnectionLost)):
            async with connect(scripted.url, tls=TlsOptions(ca_file=name)):
                pass
    finally:
        await scripted.stop()


def test_files_that_cannot_be_used_are_named_at_once(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(ValueError, match=r"missing\.pem"):
        connect("wss://127.0.0.1:1/ws", tls=TlsOptions(ca_file=missing))
    with pytest.raises(ValueError, match="cert_file"):
        TlsOptions(key_file=missing)


async def test_a_router_whose_certificate_does_not_verify_gets_no_hello(
    router: ScriptedRouter, serving: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    await router.stop()
    router.tls = serving
    await router.start()
    with pytest.raises(ConnectFailed, match=r"does not verify: self.signed certificate"):
        async with connect(router.url, retry_first=True):
            pass
    other_name = router.url.replace("127.0.0.1", "localhost")
    with pytest.raises(ConnectFailed, match=r"does not verify: Hostname mismatch"):
        async with connect(other_name, tls=trusting, retry_first=True):
            pass
    assert router.peers == []


async def test_a_server_that_does_not_speak_tls_is_refused(router: ScriptedRouter) -> None:
    options = ClientOptions(open_timeout_s=0.3)  # it waits for our request to end
    with pytest.raises(ConnectFailed, match="wss://"):
        async with connect(router.url.replace("ws:", "wss:"), options=options):
            pass
    assert router.peers == []


@pytest.mark.parametrize("scheme", ["wss", "rss"])
async def test_a_server_that_answers_without_tls_is_told(scheme: str) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with pytest.raises(ConnectFailed, match=rf"does not speak TLS: is it {scheme[0]}s://"):
            async with connect(f"{scheme}://127.0.0.1:{port}"):
                pass
    finally:
        server.close()
        await server.wait_closed()


async def test_the_command_line_takes_authorities(
    router: ScriptedRouter, serving: ssl.SSLContext, certificate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await router.stop()
    router.tls = serving
    await router.start()
    call = ["call", "--url", router.url, "a.b", "hello"]
    assert await asyncio.to_thread(cli.main, call) == 1
    assert "a ca_file names authorities" in capsys.readouterr().err
    assert await asyncio.to_thread(cli.main, [*call, "--ca-file", str(certificate)]) == 0
    assert capsys.readouterr().out == '"hello"\n'
    assert await asyncio.to_thread(cli.main, [*call, "--ca-file", "missing.pem"]) == 2
    assert "cannot use missing.pem" in capsys.readouterr().err


def test_the_command_line_publishes_over_https(
    server: ScriptedHttp, certificate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish = ["publish", "--url", server.url, "a.b", "hello"]
    assert cli.main([*publish, "--ca-file", str(certificate)]) == 0
    assert [body["args"] for body in server.bodies] == [["hello"]]
    assert cli.main([*publish, "--ca-file", "missing.pem"]) == 2
    assert "cannot use missing.pem" in capsys.readouterr().err


def test_a_publisher_over_tls_keeps_its_connection(server: ScriptedHttp, trusting: ssl.SSLContext) -> None:
    with Publisher(server.url, ssl_context=trusting) as publisher:
        assert [publisher.publish("a.b", number) for number in range(10)] == [4711] * 10
    assert len(server.bodies) == 10
    assert len(server.connections) <= 2  # what TLS itself sends after the first answer may cost one


def test_a_tls_connection_the_server_closed_is_replaced(
    server: ScriptedHttp, trusting: ssl.SSLContext
) -> None:
    with Publisher(server.url, ssl_context=trusting) as publisher:
        for number in range(3):
            assert publisher.publish("a.b", number) == 4711
            server.close_connections()
    assert [body["args"] for body in server.bodies] == [[0], [1], [2]]


def test_a_publisher_tells_nothing_to_whom_it_cannot_verify(
    server: ScriptedHttp, trusting: ssl.SSLContext
) -> None:
    other_name = server.url.replace("127.0.0.1", "localhost")
    with Publisher(server.url) as publisher, pytest.raises(PublishError, match="does not verify") as caught:
        publisher.publish("a.b")
    assert not caught.value.may_have_arrived
    with Publisher(other_name, ssl_context=trusting) as other, pytest.raises(PublishError, match="verify"):
        other.publish("a.b")
    assert server.bodies == []


def test_a_publisher_refuses_a_server_that_does_not_speak_tls() -> None:
    plain = ScriptedHttp()
    url = plain.url.replace("http:", "https:")
    with Publisher(url, timeout_s=0.5) as publisher, pytest.raises(PublishError, match="not published"):
        publisher.publish("a.b")
    plain.stop()
