"""Django settings of the test suite: the monitor's own, on a private database, with events kept in memory.

SQLite in a real file; PostgreSQL when HELIOGRAPH_TEST_DATABASE_URL names a server, as
tests/monitor/test_postgresql.py does.
"""

import os
import tempfile
from pathlib import Path

from heliograph.monitor.databases import postgresql, sqlite
from heliograph.monitor.settings import *  # noqa: F403 - these settings are those, with the differences below

_url = os.environ.get("HELIOGRAPH_TEST_DATABASE_URL", "")
_file = Path(tempfile.gettempdir()) / f"heliograph-tests-{os.getpid()}.sqlite3"

SECRET_KEY = "only for tests: nothing signed with it leaves the machine"
ALLOWED_HOSTS = ["*"]
DATABASES = {
    "default": postgresql(_url) | {"CONN_MAX_AGE": 0} if _url else sqlite(_file) | {"TEST": {"NAME": _file}}
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
HELIOGRAPH = {"default": {"BACKEND": "heliograph.django.backends.MemoryBackend"}}
LOGGING = {}
