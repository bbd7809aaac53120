"""The tutorial as a reader walks it: the commands of its README, the site, the client, a real browser."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import chromium
from tests.support.programs import router, running

README = Path(__file__).resolve().parents[2] / "examples" / "django-tutorial" / "README.md"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SET_UP = ("python manage.py migrate", "python manage.py createsuperuser", "python fetch_autobahn.py")
CLIENT = "python client.py"
HOSTILE = "<img src=x>"
PASSWORD = {"DJANGO_SUPERUSER_PASSWORD": "only for this test"}


def _commands() -> list[str]:
    blocks = "".join(CONSOLE.findall(README.read_text()))
    return [line.removeprefix("$ ") for line in blocks.splitlines()]


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def site(tutorial: Path, run: Callable[..., str]) -> Iterator[str]:
    """The tutorial set up and started as its README says, on a free port; the site's address."""
    run("python", "manage.py", "migrate", "-v0")
    run("python", "manage.py", "createsuperuser", "--noinput", "--username=admin", "--email=", **PASSWORD)
    run("python", "fetch_autobahn.py")
    run("python", "manage.py", "collectstatic", "--noinput")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with router(tutorial, port, variables={"NOTIFY_URL": f"http://127.0.0.1:{port}/notify"}) as (address, _):
        yield address


def test_the_readme_shows_the_commands_that_this_test_runs() -> None:
    assert set(_commands()) == {
        "make install",
        "cd examples/django-tutorial",
        ". ../../.venv/bin/activate",
        *SET_UP,
        "python manage.py collectstatic --noinput",
        "heliograph start",
        CLIENT,
    }


def test_the_page_lives_and_the_admin_commands_it(tutorial: Path, site: str, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{site}/")
    with running(CLIENT, tutorial, ready="Connected", variables={"SERVER": urlsplit(site).netloc}):
        machine = page.locator("#clients > li")
        expect(machine).to_contain_text("CPUs:")
        expect(machine).to_contain_text("Disk usage:")
        expect(machine).to_contain_text("Memory:")
        expect(machine).to_contain_text(socket.gethostname())
        _wait_for_another_sample(page)

        admin = _log_in(browser, site)
        _change(admin, site, "show_memory", checked=False)
        expect(machine).not_to_contain_text("Memory:")
        expect(machine).to_contain_text("CPUs:")

        _change(admin, site, "disabled", checked=True)
        expect(machine).to_be_hidden()

        _change(admin, site, "disabled", checked=False)
        expect(machine).to_be_visible()
        _wait_for_another_sample(page)

        hostile: dict[str, Any] = {
            "ip": "192.0.2.66",
            "name": HOSTILE,
            "cpus": [HOSTILE],
            "disks": {HOSTILE: HOSTILE},
        }
        requests.post(f"{site}/notify", json={"topic": "clientstats", "args": [hostile]}, timeout=10)
        expect(page.locator("#clients")).to_contain_text(HOSTILE)
        expect(page.locator("#clients img")).to_have_count(0)


def _wait_for_another_sample(page: Page) -> None:
    """Each sample makes the list anew, so a mark on an element of it goes away with the next one."""
    page.evaluate("document.querySelector('#clients dl > *').id = 'old'")
    expect(page.locator("#old")).to_have_count(0)


def _log_in(browser: Browser, site: str) -> Page:
    admin = browser.new_context().new_page()
    admin.goto(f"{site}/admin/")
    admin.fill("[name=username]", "admin")
    admin.fill("[name=password]", PASSWORD["DJANGO_SUPERUSER_PASSWORD"])
    admin.click("[type=submit]")
    expect(admin.locator("#user-tools")).to_be_visible()
    return admin


def _change(admin: Page, site: str, field: str, *, checked: bool) -> None:
    admin.goto(f"{site}/admin/django_app/client/")
    admin.click("#result_list .field-__str__ a")
    admin.set_checked(f"[name={field}]", checked)
    admin.click("[name=_save]")
    expect(admin.locator(".messagelist .success")).to_be_visible()
