"""The page: what it embeds, and what it lets nobody do."""

import datetime
import json
import re
import time
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client as Browser
from django.test import override_settings
from django.urls import include, path

from heliograph.monitor.models import Client

pytestmark = pytest.mark.django_db

urlpatterns = [path("", include("heliograph.monitor.urls"))]
"""A project without the admin."""


def _embedded(html: str) -> Any:
    found = re.search(
        r'<script id="heliograph-dashboard" type="application/json">(.*?)</script>', html, re.DOTALL
    )
    assert found, html
    return json.loads(found[1])


def test_it_lists_the_machines_of_the_database() -> None:
    seen = datetime.datetime(2026, 11, 23, 8, 30, tzinfo=datetime.UTC)
    web = Client.objects.create(name="web-1", ip="192.0.2.7", disabled=True, last_seen=seen)
    tutorial = Client.objects.create(ip="192.0.2.8", frequency=5)
    response = Browser().get("/")
    dashboard = _embedded(response.content.decode())
    assert abs(dashboard.pop("server_time_s") - time.time()) < 60
    figures = {"show_cpus": True, "show_memory": True, "show_disk": True}
    named = {"id": web.pk, "client": "web-1", "ip": "192.0.2.7", "disabled": True, "frequency": 1}
    nameless = {"id": tutorial.pk, "client": None, "ip": "192.0.2.8", "disabled": False, "frequency": 5}
    machines = sorted(dashboard.pop("clients"), key=lambda machine: machine["ip"])
    assert machines == [
        figures | named | {"name": "web-1", "last_seen_s": seen.timestamp()},
        figures | nameless | {"name": "192.0.2.8", "last_seen_s": None},
    ]
    assert dashboard == {
        "websocket_path": "/ws",
        "realm": "realm1",
        "admin_url": "/admin/heliograph_monitor/client/",
    }


def test_it_loads_the_bundle_and_says_what_to_do_without_javascript() -> None:
    html = Browser().get("/").content.decode()
    assert '<main id="dashboard"></main>' in html
    assert '<script type="module" src="/static/heliograph_monitor/dashboard/dashboard.js"></script>' in html
    assert 'href="/static/heliograph_monitor/dashboard/dashboard.css"' in html
    assert "<noscript>" in html
    assert 'href="/admin/heliograph_monitor/client/"' in html


def test_browsers_find_an_icon_on_every_page() -> None:
    icon = "/static/heliograph_monitor/icon.svg"
    assert f'<link rel="icon" href="{icon}">' in Browser().get("/").content.decode()
    assert Browser().get("/favicon.ico").headers["Location"] == icon
    assert finders.find(icon.removeprefix("/static/")) is not None


def test_text_in_the_database_never_becomes_html() -> None:
    evil = '</script><script>alert("x")</script>'
    Client.objects.bulk_create([Client(name=evil, ip="192.0.2.7")])
    html = Browser().get("/").content.decode()
    assert evil not in html
    assert html.count("<script") == 2
    assert _embedded(html)["clients"][0]["name"] == evil


def test_its_headers_allow_only_its_own_files_and_no_framing() -> None:
    response = Browser().get("/")
    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response["Cache-Control"]


def test_no_script_or_style_stands_in_the_page_itself() -> None:
    html = Browser().get("/").content.decode()
    scripts = re.findall(r"<script[^>]*>", html)
    assert all("src=" in script or 'type="application/json"' in script for script in scripts)
    assert "<style" not in html
    assert not re.search(r"\s(style|on\w+)=", html)


def test_only_reading_is_allowed() -> None:
    assert Browser().post("/").status_code == 405
    assert Browser().head("/").status_code == 200


@override_settings(ROOT_URLCONF=__name__)
def test_it_works_in_a_project_without_the_admin() -> None:
    html = Browser().get("/").content.decode()
    assert _embedded(html)["admin_url"] == ""
    assert "/admin/" not in html
