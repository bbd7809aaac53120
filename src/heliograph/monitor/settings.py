"""Settings of the stand-alone monitor site, configured by the environment.

HELIOGRAPH_DATA
    directory for db.sqlite3, secret_key and static/. Without it the site lives in memory (for checks and type
    checkers); `heliograph.monitor.wsgi` refuses to serve like that.
HELIOGRAPH_NOTIFY_URL
    the router's publisher service, by default http://127.0.0.1:8080/notify.
HELIOGRAPH_NOTIFY_TOKEN_FILE
    the file that holds the token of that service, where it asks for one.
HELIOGRAPH_ALLOWED_HOSTS
    comma list of host names the site answers to, by default localhost,127.0.0.1,[::1].
HELIOGRAPH_DATABASE_URL
    postgres://user:password@host:port/name, to use PostgreSQL in place of SQLite.
"""

import os
import secrets

from heliograph.monitor.data_directory import database_file, open_data_directory, secret_key
from heliograph.monitor.databases import postgresql, sqlite

_data = os.environ.get("HELIOGRAPH_DATA", "").strip()
_directory = open_data_directory(_data) if _data else None
_database_url = os.environ.get("HELIOGRAPH_DATABASE_URL", "").strip()

DEBUG = False
SECRET_KEY = secret_key(_directory) if _directory else secrets.token_urlsafe(48)
ALLOWED_HOSTS = [
    host.strip()
    for host in os.environ.get("HELIOGRAPH_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
    if host.strip()
]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "heliograph.django",
    "heliograph.monitor",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "heliograph.monitor.site_urls"
WSGI_APPLICATION = "heliograph.monitor.wsgi.application"
STATIC_URL = "/static/"
STATIC_ROOT = _directory / "static" if _directory else None

DATABASES = {
    "default": postgresql(_database_url)
    if _database_url
    else sqlite(database_file(_directory) if _directory else ":memory:")
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

HELIOGRAPH = {
    "default": {
        "BACKEND": "heliograph.django.backends.HttpBackend",
        "LOCATION": os.environ.get("HELIOGRAPH_NOTIFY_URL", "").strip() or "http://127.0.0.1:8080/notify",
        "TIMEOUT": 2.0,
        "OPTIONS": {"token_file": os.environ.get("HELIOGRAPH_NOTIFY_TOKEN_FILE", "").strip() or None},
    }
}

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# Browsers keep cookies per host, whatever the port: other sites on localhost use Django's own names.
SESSION_COOKIE_NAME = "heliograph_session"
CSRF_COOKIE_NAME = "heliograph_csrf"
# The site speaks plain HTTP on loopback (`heliograph monitor run` refuses anything else), so what `check --deploy`
# asks for with TLS would lock everybody out: HSTS, the redirect to https, and cookies for https alone.
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008", "security.W012", "security.W016"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    # No time: the router, whose log these lines go to, writes it before each.
    "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # Django's own handlers write only with DEBUG, or by e-mail.
    "loggers": {"django": {"handlers": ["stderr"], "level": "INFO", "propagate": False}},
}
