"""The stand-alone site, configured by the environment, in processes of its own."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SETTINGS = "heliograph.monitor.settings"


def _start(code: str, **environment: str) -> "subprocess.Popen[str]":
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("HELIOGRAPH_") and key != "DJANGO_SETTINGS_MODULE"
    }
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(code: str, **environment: str) -> str:
    process = _start(code, **environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def _manage(*arguments: str, **environment: str) -> str:
    code = f"from django.core.management import execute_from_command_line as run; run(['', *{arguments!r}])"
    return _run(code, DJANGO_SETTINGS_MODULE=SETTINGS, **environment)


def _settings(*names: str, **environment: str) -> dict[str, Any]:
    code = f"""
import json
from {SETTINGS} import *
print(json.dumps({{name: globals()[name] for name in {names!r}}}, default=str))
"""
    loaded: dict[str, Any] = json.loads(_run(code, **environment))
    return loaded


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_checks_for_deployment_find_nothing(tmp_path: Path) -> None:
    out = _manage("check", "--deploy", "--fail-level", "WARNING", HELIOGRAPH_DATA=str(tmp_path / "data"))
    assert "no issues" in out


def test_the_data_directory_holds_everything_and_is_its_owners(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    _manage("migrate", "-v0", HELIOGRAPH_DATA=str(data))
    _manage("collectstatic", "--noinput", "-v0", HELIOGRAPH_DATA=str(data))
    assert sorted(path.name for path in data.iterdir() if not path.name.startswith("db.sqlite3-")) == [
        "db.sqlite3",
        "secret_key",
        "static",
    ]
    assert (data / "static" / "admin" / "css" / "base.css").is_file()
    assert (_mode(data), _mode(data / "secret_key"), _mode(data / "db.sqlite3")) == (0o700, 0o600, 0o600)


def test_the_secret_key_stays_the_same_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    first = _settings("SECRET_KEY", HELIOGRAPH_DATA=str(tmp_path))
    for name in ("secret_key", "db.sqlite3"):
        (tmp_path / name).chmod(0o644)
    assert _settings("SECRET_KEY", HELIOGRAPH_DATA=str(tmp_path)) == first
    assert len(first["SECRET_KEY"]) >= 50
    assert (_mode(tmp_path / "secret_key"), _mode(tmp_path / "db.sqlite3")) == (0o600, 0o600)


def test_processes_that_start_together_agree_on_one_secret_key(tmp_path: Path) -> None:
    code = f"from {SETTINGS} import SECRET_KEY; print(SECRET_KEY)"
    processes = [_start(code, HELIOGRAPH_DATA=str(tmp_path)) for _ in range(4)]
    outcomes = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outcomes
    assert len({out for out, _ in outcomes}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db.sqlite3", "secret_key"]


def test_a_damaged_secret_key_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("short\n")
    process = _start(f"import {SETTINGS}", HELIOGRAPH_DATA=str(tmp_path))
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "delete the file to have a new one made" in err


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    process = _start(f"import {SETTINGS}", HELIOGRAPH_DATA=str(tmp_path / "data"))
    _, err = process.communicate(timeout=60)
    assert "cannot be used as the data directory" in err


def test_the_defaults_answer_to_this_machine_alone() -> None:
    loaded = _settings("ALLOWED_HOSTS", "DEBUG", "HELIOGRAPH", "DATABASES", "STATIC_URL")
    assert loaded["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert loaded["DEBUG"] is False
    assert loaded["HELIOGRAPH"]["default"]["LOCATION"] == "http://127.0.0.1:8080/notify"
    assert loaded["DATABASES"]["default"]["NAME"] == ":memory:"
    assert loaded["STATIC_URL"] == "/static/"


def test_the_environment_changes_hosts_router_and_database() -> None:
    loaded = _settings(
        "ALLOWED_HOSTS",
        "HELIOGRAPH",
        "DATABASES",
        HELIOGRAPH_ALLOWED_HOSTS="a.example, b.example,",
        HELIOGRAPH_NOTIFY_URL="http://127.0.0.1:9999/notify",
        HELIOGRAPH_DATABASE_URL="postgres://u:p@h/fleet",
    )
    assert loaded["ALLOWED_HOSTS"] == ["a.example", "b.example"]
    assert loaded["HELIOGRAPH"]["default"]["LOCATION"] == "http://127.0.0.1:9999/notify"
    assert loaded["DATABASES"]["default"]["NAME"] == "fleet"


def test_the_wsgi_application_serves_from_a_data_directory_and_refuses_without(tmp_path: Path) -> None:
    _manage("migrate", "-v0", HELIOGRAPH_DATA=str(tmp_path))
    code = """
import io
from heliograph.monitor.wsgi import application
status = []
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "localhost", "SERVER_PORT": "8080",
           "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http"}
response = application(environ, lambda line, headers: status.append(line))
body = b"".join(response)
response.close()
from django.db import connections
connections.close_all()
print(status[0], b"heliograph-dashboard" in body)
"""
    assert _run(code, HELIOGRAPH_DATA=str(tmp_path)).strip() == "200 OK True"
    process = _start("import heliograph.monitor.wsgi")
    _, err = process.communicate(timeout=60)
    assert "HELIOGRAPH_DATA is not set" in err


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_loading_the_settings_without_a_data_directory_writes_nothing(tmp_path: Path) -> None:
    process = _start(f"import os; os.chdir({str(tmp_path)!r}); import {SETTINGS}", HOME=str(tmp_path))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert list(tmp_path.iterdir()) == []
