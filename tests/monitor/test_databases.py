"""Reading HELIOGRAPH_DATABASE_URL."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from heliograph.monitor.databases import postgresql, sqlite


def test_a_whole_url_is_read() -> None:
    entry = postgresql("postgres://helio:p%40ss%2Fw%23%3A@db.example.org:5433/fleet?sslmode=require")
    assert entry == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "fleet",
        "USER": "helio",
        "PASSWORD": "p@ss/w#:",
        "HOST": "db.example.org",
        "PORT": "5433",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"sslmode": "require"},
    }


def test_a_unix_socket_is_named_by_host() -> None:
    entry = postgresql("postgresql:///fleet?host=/run/postgresql")
    assert (entry["HOST"], entry["NAME"], entry["USER"], entry["PORT"]) == (
        "/run/postgresql",
        "fleet",
        "",
        "",
    )


def test_an_ipv6_host_is_read() -> None:
    assert postgresql("postgres://u@[::1]:5432/fleet")["HOST"] == "::1"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mysql://u:secret@h/fleet", "must begin with postgres://"),
        ("fleet", "must begin with postgres://"),
        ("postgres://u:secret@h", "must end with one database name"),
        ("postgres://u:secret@h/", "must end with one database name"),
        ("postgres://u:secret@h/a/b", "must end with one database name"),
        ("postgres://u:secret@h:port/fleet", "wrong host or port"),
        ("postgres://u:secret@h:99999/fleet", "wrong host or port"),
        ("postgres://u:secret@[::1/fleet", "wrong host or port"),
        ("postgres://u:secret/with-slash@h/fleet", "wrong host or port"),
        ("postgres://u:secret#more@h/fleet", "'#'"),
        (
            "postgres://u:secret@h/fleet?sslmod=require",
            "unknown option 'sslmod'; the known ones are application_name",
        ),
        ("postgres://u:secret@h/fleet?sslmode", "must be key=value"),
    ],
)
def test_a_wrong_url_is_refused_with_a_reason_that_holds_no_secret(url: str, text: str) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        postgresql(url)
    assert text in str(raised.value)
    assert "secret" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_sqlite_waits_for_locks_and_writes_ahead() -> None:
    options = sqlite(Path("/x/db.sqlite3"))["OPTIONS"]
    assert options["timeout"] == 10
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"]
