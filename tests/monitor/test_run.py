"""`heliograph monitor run`: only the site publishes configurations."""

import asyncio
import http.client
import json
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from heliograph.client import connect
from heliograph.client.errors import PublicationRefused, WampError
from heliograph.client.publisher import Publisher

KNOWN_TOKEN = "known-to-everybody-here"
SILENCE = {"id": 1, "client": "box", "ip": "192.0.2.7", "disabled": True, "frequency": 1}


class Monitor(NamedTuple):
    url: str
    data: Path

    @property
    def token_file(self) -> Path:
        return self.data / "node" / "notify_token"


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Monitor]:
    """A monitor without an agent, whose data directory had a token file that all could read."""
    data = tmp_path / "data"
    (data / "node").mkdir(parents=True)
    (data / "node" / "notify_token").write_text(KNOWN_TOKEN)
    (data / "node" / "notify_token").chmod(0o666)
    words = ("-m", "heliograph", "monitor", "run", "--no-agent", "--port", "0", "--data", str(data))
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            told = ""
            for line in process.stdout:
                told += line
                if "Ctrl-C" in line:
                    break
            url = re.search(r"Heliograph monitor +(\S+)", told)
            log.seek(0)
            assert url is not None, told + log.read()
            yield Monitor(url[1], data)
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            assert process.stdout is not None
            process.stdout.close()
            log.seek(0)
            logged = log.read()
    assert (data / "node" / "notify_token").read_text() not in logged
    assert "warning" not in logged.lower()


async def _post(monitor: Monitor, path: str, content_type: str, body: str, **headers: str) -> int:
    def post() -> int:
        connection = http.client.HTTPConnection(urlsplit(monitor.url).netloc, timeout=20)
        try:
            connection.request("POST", path, body, {"Content-Type": content_type, **headers})
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    return await asyncio.to_thread(post)


async def test_only_the_site_tells_machines_of_configurations(monitor: Monitor) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    address = urlsplit(monitor.url).netloc
    event = json.dumps({"topic": "clientconfig.box", "args": [SILENCE]})
    async with asyncio.timeout(60), connect(f"ws://{address}/ws", realm="realm1") as session:
        await session.subscribe(lambda told: heard.put_nowait(told.topic), "clientconfig.", "prefix")
        for proof in ({}, *({"Authorization": f"Bearer {wrong}"} for wrong in (KNOWN_TOKEN, "x" * 43))):
            assert await _post(monitor, "/notify", "application/json", event, **proof) == 401
        with pytest.raises(WampError, match="not_authorized"):
            await session.publish_event("clientconfig.box", [SILENCE], acknowledge=True)

        # The site tells of a machine that is new, and nobody else was heard.
        form = "client=new&ip=192.0.2.7"
        assert await _post(monitor, "/clients/", "application/x-www-form-urlencoded", form) == 200
        assert await heard.get() == "clientconfig.new"
    assert heard.empty()


def test_the_token_is_new_at_each_start_and_for_the_owner_alone(monitor: Monitor) -> None:
    assert stat.S_IMODE(monitor.token_file.stat().st_mode) == 0o600
    assert len(monitor.token_file.read_text()) >= 40
    with Publisher(f"{monitor.url}notify", token=monitor.token_file.read_text()) as site:
        assert site.publish("clientconfig.box", SILENCE)
        with pytest.raises(PublicationRefused):
            site.publish("clientstats", {})
