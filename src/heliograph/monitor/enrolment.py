"""Enrolment: a machine says who it is and gets its configuration; its row is made when there is none."""

import re

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.forms import GenericIPAddressField
from django.utils import timezone

from heliograph.monitor.models import Client
from heliograph.monitor.protocol import CLIENT_NAME_PATTERN, CLIENT_NAME_RULE

DEFAULT_MAX_CLIENTS = 10_000
"""Rows that enrolment makes at most; `HELIOGRAPH_MONITOR_MAX_CLIENTS` in the settings changes it."""

_ATTEMPTS = 3


class InvalidIdentity(ValueError):  # noqa: N818 - reads as what it is at the place that raises it
    """A wrong name or address; the text says what to send."""


class EnrolmentFull(Exception):  # noqa: N818 - as above
    """There are as many machines as enrolment may make."""


class EnrolmentBusy(Exception):  # noqa: N818 - as above
    """Others kept making and deleting this machine at the same time."""


def enrol(name: str | None, ip: str) -> Client:
    """Return the machine, made when new, with its address and `last_seen` brought up to date.

    Args:
        name: the client name; None for the tutorial's clients, which are known by `ip`.
        ip: IPv4 or IPv6 address.

    Raises:
        InvalidIdentity: `name` or `ip` is wrong.
        EnrolmentFull: it is new, and there are too many already.
        EnrolmentBusy: it could not be made nor found in several attempts.
    """
    name, ip = _clean(name, ip)
    for _ in range(_ATTEMPTS):
        client = _find(name, ip) or _create(name, ip)
        if client is not None:
            return client
    raise EnrolmentBusy(f"the machine {name or ip} is being made and deleted by others; try again")


def _clean(name: str | None, ip: str) -> tuple[str | None, str]:
    """Return both as they are stored: addresses have one spelling."""
    if name is not None and not re.match(CLIENT_NAME_PATTERN, name):
        raise InvalidIdentity(f"client must be {CLIENT_NAME_RULE}, got {name[:80]!r}")
    try:
        if "%" in ip:
            raise ValidationError("A scope such as %eth0 means nothing on another machine.")
        return name, GenericIPAddressField(unpack_ipv4=True).clean(ip)
    except ValidationError as error:
        raise InvalidIdentity(
            f"ip must be an IPv4 or IPv6 address such as 192.0.2.7 or 2001:db8::7, got {ip[:80]!r}"
        ) from error


def _find(name: str | None, ip: str) -> Client | None:
    known = Client.objects.filter(name=name) if name else Client.objects.filter(name=None, ip=ip)
    with transaction.atomic():
        # Writing first takes the row's lock (SQLite: the database's), so nobody changes it until the commit.
        if not known.update(last_seen=timezone.now()):
            return None
        client = known.get()
        if client.ip != ip:
            client.ip = ip
            client.save(update_fields=["ip"])
        return client


def _create(name: str | None, ip: str) -> Client | None:
    """Return the new machine, or None when somebody else made it first."""
    limit = int(getattr(settings, "HELIOGRAPH_MONITOR_MAX_CLIENTS", DEFAULT_MAX_CLIENTS))
    if Client.objects.count() >= limit:
        raise EnrolmentFull(
            f"there are {limit} machines already; delete some in the admin, or raise HELIOGRAPH_MONITOR_MAX_CLIENTS"
        )
    try:
        with transaction.atomic():
            return Client.objects.create(name=name, ip=ip, last_seen=timezone.now())
    except IntegrityError:
        return None
