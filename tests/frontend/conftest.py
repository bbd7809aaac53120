"""The dashboard in headless Chromium, fed by its demonstration server instead of a router."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import chromium

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"


@pytest.fixture(scope="module")
def demonstration() -> Iterator[str]:
    """The address of a demonstration server; `/<n>?still` is a page of n machines of which none speaks."""
    node = shutil.which("node")
    if node is None or not (FRONTEND / "node_modules").is_dir():
        pytest.skip("Node or the front end's packages are not installed (`make install`)")
    server = subprocess.Popen(
        [node, "dev/demo.mjs"],
        cwd=FRONTEND,
        env=os.environ | {"PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        assert line.startswith("Demonstration: "), f"the demonstration server said {line!r}"
        yield line.removeprefix("Demonstration: ").strip().rsplit("/", 1)[0]
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium from the system."""
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of its own; an error that the page raises or logs fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
    page.on(
        "console",
        lambda message: (
            problems.append(message.text)
            if message.type == "error" and "favicon" not in message.location["url"]
            else None
        ),
    )
    yield page
    context.close()
    assert problems == []
