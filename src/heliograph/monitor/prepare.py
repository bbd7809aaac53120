"""Bring a monitor's data directory up to date; run as a process of its own, so that its parent stays small.

`python -m heliograph.monitor.prepare [--new-password]`, with HELIOGRAPH_DATA and DJANGO_SETTINGS_MODULE set.
Prints one line of JSON: `{"username": "admin", "password": "…"}` when a password was made, else null.
"""

import json
import secrets
import sys

import django
from django.core.management import call_command

ADMIN = "admin"
_PASSWORD_BYTES = 12


def main() -> None:
    """Migrate, collect static files, and see to it that somebody can log in."""
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0, clear=False)
    made = _made_password(again="--new-password" in sys.argv[1:])
    sys.stdout.write(json.dumps(made) + "\n")


def _made_password(*, again: bool) -> dict[str, str] | None:
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    if users.exists() and not again:
        return None
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    user, _ = users.get_or_create(username=ADMIN, defaults={"is_staff": True, "is_superuser": True})
    user.set_password(password)
    user.save()
    return {"username": ADMIN, "password": password}


if __name__ == "__main__":
    main()
