"""The WSGI entry point of the stand-alone monitor site."""

import os

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "heliograph.monitor.settings")

if (
    settings.SETTINGS_MODULE == "heliograph.monitor.settings"
    and not os.environ.get("HELIOGRAPH_DATA", "").strip()
):
    raise ImproperlyConfigured(
        "HELIOGRAPH_DATA is not set: name the directory for the database, the secret key and the static files"
        " (`heliograph monitor run --data DIR` does)"
    )

application = get_wsgi_application()
