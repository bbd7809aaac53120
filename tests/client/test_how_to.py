"""What the client's how-to shows is run here as it stands there, but for the port."""

import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph import Publisher
from heliograph.client import ClientOptions
from tests.support.nodes import RouterProcess, node_config, router_process

HOW_TO = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "client.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)
COMMANDS = "".join(re.findall(r"^```sh\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)).splitlines()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    with router_process(tmp_path_factory.mktemp("router"), node_config()) as running:
        yield running


def at(real: RouterProcess, text: str) -> str:
    return text.replace("127.0.0.1:8080", f"127.0.0.1:{real.address[1]}")


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_each_program_prints_what_it_says(real: RouterProcess) -> None:
    printed = []
    for program in PROGRAMS:
        done = run([sys.executable, "-c", at(real, program)])
        assert (done.returncode, done.stderr) == (0, ""), program
        printed.append(done.stdout)
    events, procedures, publisher, many = printed
    assert events == "com.example.news ['hello'] {'loud': True}\n"
    assert procedures == "1\ncom.example.sold_out ['no lamp left'] {'wanted': 5}\n"
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
        f"`max_message_bytes` ({options.max_message_bytes // 1024**2} MiB)",
        f"from {options.backoff_initial_s} to {options.backoff_max_s:g} seconds",
        f"within {options.ping_interval_s + options.ping_timeout_s:g} seconds",
    }
    text = " ".join(HOW_TO.split())
    assert {each for each in stated if each not in text} == set()
