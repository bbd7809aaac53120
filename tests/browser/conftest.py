"""A whole monitor, started as a user starts it, and a real browser."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.browser import chromium

START_TIMEOUT_S = 60


class Monitor(NamedTuple):
    """A monitor that runs.

    Attributes:
        url: of the page, with a slash at the end.
        password: of the user `admin`.
        process: `heliograph monitor run`.
        log: the file its parts write to.
    """

    url: str
    password: str
    process: subprocess.Popen[str]
    log: Path

    def child(self, word: str) -> int:
        """Return the process id of the child whose command line ends with the words `heliograph <word> …`."""
        found = [
            pid
            for pid in descendants(self.process.pid)
            if f"module_runner heliograph {word} " in command_line(pid)
        ]
        assert len(found) == 1, f"{word}: {[command_line(pid) for pid in descendants(self.process.pid)]}"
        return found[0]


def descendants(pid: int) -> list[int]:
    """Return all processes below `pid`, parents before children."""
    family = [pid]
    for member in family:
        try:
            for task in Path(f"/proc/{member}/task").iterdir():
                family += [int(child) for child in (task / "children").read_text().split()]
        except FileNotFoundError:
            continue
    return family[1:]


def command_line(pid: int) -> str:
    """Return the command line of `pid`, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except FileNotFoundError:
        return ""


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    """Run `heliograph monitor run` on a free port with data of its own."""
    data = tmp_path_factory.mktemp("monitor")
    log = (data / "log").open("w+")
    command = [
        sys.executable,
        "-m",
        "heliograph",
        "monitor",
        "run",
        "--data",
        str(data / "data"),
        "--port",
        "0",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        told = ""
        for line in process.stdout:
            told += line
            if "Ctrl-C" in line:
                break
        url = re.search(r"Heliograph monitor +(\S+)", told)
        password = re.search(r"password (\S+)", told)
        assert url is not None, f"{told}\n{(data / 'log').read_text()}"
        assert password is not None, told
        yield Monitor(url[1], password[1], process, data / "log")
    finally:
        family = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
        log.close()
    assert code == 0, (data / "log").read_text()
    assert not [pid for pid in family if command_line(pid)], "something outlived the monitor"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the system's Chromium; for one module, for playwright keeps an event loop that async tests cannot bear."""
    with chromium() as started:
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Give a fresh profile."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, monitor: Monitor) -> Iterator[Page]:
    """Give a page on which nothing may go wrong unseen; a failing test shows what the monitor had to say."""
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    already_said = monitor.log.stat().st_size
    yield page
    print(monitor.log.read_text()[already_said:])
    assert errors == []


@pytest.fixture
def admin(monitor: Monitor, context: BrowserContext) -> Page:
    """Give a page that is logged in to the admin."""
    page = context.new_page()
    page.goto(f"{monitor.url}admin/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", monitor.password)
    page.click("input[type=submit]")
    page.wait_for_selector("#user-tools")
    return page
