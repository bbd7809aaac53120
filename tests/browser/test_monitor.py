"""The whole system in a real browser: page, admin, agent and router."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Monitor

CARD = "article.card"
A_SECOND_MS = 1000


def open_live_page(page: Page, monitor: Monitor) -> None:
    page.goto(monitor.url)
    page.wait_for_selector("[data-connection=live]")
    page.wait_for_selector(f"{CARD}[data-state=live]")


def configure(admin: Page, monitor: Monitor) -> None:
    """Open the admin's form of the one machine there is."""
    admin.goto(f"{monitor.url}admin/heliograph_monitor/client/")
    admin.click("#result_list tbody tr:first-child th a")
    admin.wait_for_selector("#id_frequency")


def save(admin: Page) -> None:
    """Save; the second a change may take begins when the admin has answered at the latest."""
    with admin.expect_navigation():
        admin.click("input[name=_save]")


def text(page: Page, name: str) -> str:
    return page.inner_text(f"{CARD} [data-value={name}]")


def wait_for_another_sample(page: Page) -> None:
    """Return when the figures have changed; CPU and memory never stand still together for long."""
    page.wait_for_function(
        """before => before !== document.querySelector('article.card [data-group=cpu]').innerText
                           + document.querySelector('article.card [data-group=memory]').innerText""",
        arg=page.inner_text(f"{CARD} [data-group=cpu]") + page.inner_text(f"{CARD} [data-group=memory]"),
        timeout=30_000,
    )


def test_the_page_shows_this_machines_real_figures_changing(page: Page, monitor: Monitor) -> None:
    open_live_page(page, monitor)

    total = re.match(r"([\d.]+)\s+GiB", text(page, "memory-total"))
    assert total is not None
    assert float(total[1]) == pytest.approx(psutil.virtual_memory().total / 2**30, rel=0.01)
    assert page.locator(f"{CARD} .core").count() == psutil.cpu_count()
    assert page.locator(f"{CARD} .disk[data-mountpoint='/']").count() == 1
    wait_for_another_sample(page)


def test_a_change_in_the_admin_changes_the_page_within_a_second(
    page: Page, admin: Page, monitor: Monitor
) -> None:
    open_live_page(page, monitor)
    assert page.locator(f"{CARD} [data-group=memory]").count() == 1
    configure(admin, monitor)
    admin.fill("#id_frequency", "2")
    admin.uncheck("#id_show_memory")

    save(admin)

    expect(page.locator(f"{CARD} [data-value=interval]")).to_have_text("2", timeout=A_SECOND_MS)
    expect(page.locator(f"{CARD} [data-group=memory]")).to_have_count(0, timeout=A_SECOND_MS)
    configure(admin, monitor)
    admin.fill("#id_frequency", "1")
    admin.check("#id_show_memory")
    save(admin)
    expect(page.locator(f"{CARD} [data-value=interval]")).to_have_text("1", timeout=A_SECOND_MS)
    expect(page.locator(f"{CARD} [data-group=memory] [data-value=memory-used]")).to_be_visible(
        timeout=A_SECOND_MS
    )


def test_a_disabled_machine_goes_and_comes_back_at_once(page: Page, admin: Page, monitor: Monitor) -> None:
    open_live_page(page, monitor)
    configure(admin, monitor)
    admin.check("#id_disabled")

    save(admin)

    expect(page.locator(CARD)).to_have_count(0, timeout=A_SECOND_MS)
    configure(admin, monitor)
    admin.uncheck("#id_disabled")
    save(admin)
    expect(page.locator(f"{CARD}[data-state=live]")).to_have_count(1, timeout=2 * A_SECOND_MS)


def test_killing_the_router_is_shown_and_mended_without_a_reload(page: Page, monitor: Monitor) -> None:
    open_live_page(page, monitor)
    page.evaluate("window.stillTheSamePage = true")

    os.kill(monitor.child("start"), signal.SIGKILL)

    page.wait_for_selector("[data-connection=lost]")
    page.wait_for_selector("[data-connection=live]", timeout=30_000)
    page.wait_for_selector(f"{CARD}[data-state=live]", timeout=30_000)
    wait_for_another_sample(page)
    assert page.evaluate("window.stillTheSamePage") is True


class ForeignPage(BaseHTTPRequestHandler):
    """A page of somebody else's."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>somebody else</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def foreign_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), ForeignPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


OPEN_A_SOCKET = """url => new Promise(resolve => {
    const socket = new WebSocket(url, ['wamp.2.json']);
    socket.onopen = () => resolve('open');
    socket.onclose = () => resolve('refused');
})"""

POST_AN_EVENT = """async ([url, mode]) => {
    const body = JSON.stringify({topic: 'clientconfig.vm', args: [{disabled: true}]});
    const headers = mode === 'cors' ? {'Content-Type': 'application/json'} : {};
    try {
        const response = await fetch(url, {method: 'POST', mode, headers, body});
        return response.type === 'opaque' ? 'sent' : `answered ${response.status}`;
    } catch (error) {
        return 'refused';
    }
}"""


def test_a_page_from_elsewhere_can_neither_listen_nor_publish(
    page: Page, monitor: Monitor, foreign_url: str
) -> None:
    open_live_page(page, monitor)
    websocket_url = f"{monitor.url.replace('http', 'ws')}ws"
    assert page.evaluate(OPEN_A_SOCKET, websocket_url) == "open"
    stranger = page.context.new_page()
    stranger.goto(foreign_url)

    assert stranger.evaluate(OPEN_A_SOCKET, websocket_url) == "refused"
    assert stranger.evaluate(POST_AN_EVENT, [f"{monitor.url}notify", "cors"]) == "refused"
    # Without CORS a browser sends the request and hides the answer; the router must refuse it.
    assert stranger.evaluate(POST_AN_EVENT, [f"{monitor.url}notify", "no-cors"]) == "sent"

    expect(page.locator(f"{CARD}[data-state=live]")).to_have_count(1)


def test_deleting_a_machine_takes_its_card_away(page: Page, admin: Page, monitor: Monitor) -> None:
    open_live_page(page, monitor)
    configure(admin, monitor)
    admin.click("a.deletelink")

    admin.click("input[type=submit]")

    expect(page.locator(CARD)).to_have_count(0, timeout=A_SECOND_MS)
    page.reload()
    page.wait_for_selector("[data-connection=live]")
    expect(page.locator(CARD)).to_have_count(0)
