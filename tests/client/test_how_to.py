"""What the client's how-to shows is run here as it stands there, but for the port."""

import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph import Publisher
from heliograph.client import ClientOptions
from heliograph.client.blocking.connecting import HANDLER_THREADS
from tests.support.nodes import (
    RouterProcess,
    node_config,
    rawsocket_transport,
    router_process,
    web_transport,
)

HOW_TO = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "client.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)
COMMANDS = "".join(re.findall(r"^```sh\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)).splitlines()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files that the page names; one certificate is everybody's."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates")
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", str(directory / "client-key.pem"), "-out", str(directory / "client.pem"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )  # fmt: skip
    (directory / "ca.pem").write_bytes((directory / "client.pem").read_bytes())
    return directory


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[RouterProcess]:
    encrypted = web_transport()
    encrypted["endpoint"]["tls"] = {
        "certificate": str(certificates / "client.pem"),
        "key": str(certificates / "client-key.pem"),
        "ca_certificates": [str(certificates / "ca.pem")],
    }
    config = node_config(web_transport(), rawsocket_transport(), encrypted)
    with router_process(tmp_path_factory.mktemp("router"), config) as running:
        yield running


def at(real: RouterProcess, text: str) -> str:
    web, raw, encrypted = (port for _, port in real.addresses)
    for shown, port in (("127.0.0.1:8080", web), ("127.0.0.1:8081", raw), ("localhost:8443", encrypted)):
        text = text.replace(shown, f"{shown.partition(':')[0]}:{port}")
    return text


def run(command: list[str], directory: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=directory)


def test_each_program_prints_what_it_says(real: RouterProcess, certificates: Path) -> None:
    printed = []
    for program in PROGRAMS:
        done = run([sys.executable, "-c", at(real, program)], certificates)
        assert (done.returncode, done.stderr) == (0, ""), program
        printed.append(done.stdout)
    events, procedures, progress, lamp, gaps, doors, scripts, publisher, many = printed
    assert events == "com.example.news ['hello'] {'loud': True}\n"
    assert procedures == "1\ncom.example.sold_out ['no lamp left'] {'wanted': 5}\n"
    assert progress == "0\n1\n2\n[101, 103, 106] 106\n"
    assert lamp == "5\n"
    assert gaps == "bye\n"
    assert doors == "RawSocket True\nTLS True\n"
    assert scripts == "49\n['hello']\n"
    assert int(publisher) > 0
    assert many == "3 acknowledged\n0 left\n"


def test_each_command_runs(real: RouterProcess) -> None:
    assert [shlex.split(command)[1] for command in COMMANDS] == ["publish", "publish", "call", "subscribe"]
    for command in COMMANDS:
        words = shlex.split(at(real, command))
        if "--url" not in words:
            words += ["--url", at(real, "ws://127.0.0.1:8080/ws")]
        is_heard = threading.Event()
        publishing = threading.Thread(target=_publish_until, args=(real, is_heard))
        publishing.start()
        done = run([sys.executable, "-m", *words])
        is_heard.set()
        publishing.join(60)
        if words[1] == "call":  # nobody has registered it
            assert done.returncode == 1
            assert done.stderr.startswith("wamp.error.no_such_procedure")
        else:
            assert (done.returncode, done.stderr) == (0, ""), command


def _publish_until(real: RouterProcess, is_heard: threading.Event) -> None:
    """Nobody says when `heliograph subscribe` has subscribed, so it is told until it ends."""
    with Publisher(at(real, "http://127.0.0.1:8080/notify")) as publisher:
        while not is_heard.wait(0.05):
            publisher.publish("com.example.news")


def test_the_limits_are_those_that_are_stated() -> None:
    options = ClientOptions()
    stated = {
        f"`max_queued_events` ({options.max_queued_events})",
        f"`write_high_water_bytes` ({options.write_high_water_bytes // 1024} KiB)",
        f"`max_running_calls` ({options.max_running_calls})",
        f"`max_queued_results` ({options.max_queued_results})",
        f"`max_queued_pieces` ({options.max_queued_pieces})",
        f"`handler_threads` ({HANDLER_THREADS})",
        f"`max_message_bytes` ({options.max_message_bytes // 1024**2} MiB)",
        f"from {options.backoff_initial_s} to {options.backoff_max_s:g} seconds",
        f"within {options.ping_interval_s + options.ping_timeout_s:g} seconds",
    }
    text = " ".join(HOW_TO.split())
    assert {each for each in stated if each not in text} == set()
