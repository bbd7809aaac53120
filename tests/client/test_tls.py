"""TLS: certificates are verified, and what does not verify is never talked to."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph import Publisher
from heliograph.client import ClientOptions, ConnectFailed, PublishError, connect
from tests.client.scripted_http import ScriptedHttp
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
    async with connect(router.url, ssl_context=trusting) as session:
        assert await session.call("a.b", "x" * 100_000) == "x" * 100_000


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
        async with connect(other_name, ssl_context=trusting, retry_first=True):
            pass
    assert router.peers == []


async def test_a_server_that_does_not_speak_tls_is_refused(router: ScriptedRouter) -> None:
    options = ClientOptions(open_timeout_s=0.3)  # it waits for our request to end
    with pytest.raises(ConnectFailed, match="wss://"):
        async with connect(router.url.replace("ws:", "wss:"), options=options):
            pass
    assert router.peers == []


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
