"""Django's `DATABASES` entry: SQLite in the data directory, or PostgreSQL by one URL."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_SETTING = "HELIOGRAPH_DATABASE_URL"
_SHAPE = "postgres://user:password@host:5432/name (a password's special characters as %XX)"
_LIBPQ_OPTIONS = frozenset(
    {
        "application_name",
        "connect_timeout",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
    }
)


def sqlite(path: Path | str) -> dict[str, Any]:
    """Return the entry for a SQLite file (or `:memory:`).

    Readers and the one writer work side by side (write-ahead log); a writer waits up to 10 s for the lock, and every
    transaction asks for it at its first statement, because one that asks later is refused without waiting.
    """
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "timeout": 10,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def postgresql(url: str) -> dict[str, Any]:
    """Return the entry for a PostgreSQL URL.

    Args:
        url: `postgres://user:password@host:port/name?sslmode=require`; with `?host=/run/postgresql` instead of a host,
            a Unix socket's directory. User, password and name may hold %XX escapes.

    Raises:
        ImproperlyConfigured: the URL is wrong; the text says how, and holds nothing of the URL's secret.
    """
    if "#" in url:
        raise ImproperlyConfigured(f"{_SETTING} holds a bare '#'; write it as %23, as in {_SHAPE}")
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise ImproperlyConfigured(f"{_SETTING} has a wrong host or port; write {_SHAPE}") from None
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(f"{_SETTING} must begin with postgres:// ; write {_SHAPE}")
    name = unquote(parts.path.removeprefix("/"))
    if not name or "/" in name:
        raise ImproperlyConfigured(f"{_SETTING} must end with one database name; write {_SHAPE}")
    options = _options(parts.query)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", None) or unquote(parts.hostname or ""),
        "PORT": str(port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


def _options(query: str) -> dict[str, str]:
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:
        raise ImproperlyConfigured(f"{_SETTING}: what follows '?' must be key=value&key=value") from None
    unknown = sorted(options.keys() - _LIBPQ_OPTIONS - {"host"})
    if unknown:
        known = ", ".join(sorted(_LIBPQ_OPTIONS | {"host"}))
        raise ImproperlyConfigured(f"{_SETTING}: unknown option {unknown[0]!r}; the known ones are {known}")
    return options
