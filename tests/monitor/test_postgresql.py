"""The same tests of model, view, admin and publishing, on a private PostgreSQL server."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.monitor.postgres import NoPostgreSQL, postgresql_server

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SAME_TESTS = (
    HERE / "test_models.py",
    HERE / "test_announcements.py",
    HERE / "test_enrolment.py",
    HERE / "test_dashboard.py",
    HERE / "test_admin.py",
    HERE.parent / "django" / "test_publishing.py",
    HERE.parent / "django" / "test_capture.py",
)


@pytest.mark.skipif(
    "HELIOGRAPH_TEST_DATABASE_URL" in os.environ, reason="a database server is chosen already"
)
@pytest.mark.skipif(importlib.util.find_spec("psycopg") is None, reason="psycopg is not installed")
def test_the_same_tests_pass_on_postgresql() -> None:
    try:
        with postgresql_server() as url:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SAME_TESTS],
                cwd=ROOT,
                env=os.environ | {"HELIOGRAPH_TEST_DATABASE_URL": url},
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
    except NoPostgreSQL as reason:
        pytest.skip(str(reason))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout, done.stdout[-2000:]
