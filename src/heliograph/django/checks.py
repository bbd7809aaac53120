"""System checks of the `HELIOGRAPH` setting; none of them opens a connection."""

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from heliograph.django.backends import Backend, ConsoleBackend, HttpBackend, MemoryBackend
from heliograph.django.registry import build_backend, configured_aliases


@checks.register
def check_setting(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[checks.CheckMessage]:
    """E001: the setting's shape; E002: an entry that cannot work; W001: events in clear text over a network."""
    del app_configs  # a setting belongs to no application
    try:
        aliases = configured_aliases()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="heliograph.E001")]
    messages: list[checks.CheckMessage] = []
    for alias, entry in aliases.items():
        try:
            backend = build_backend(alias, entry)
        except ImproperlyConfigured as error:
            messages.append(checks.Error(str(error), id="heliograph.E002"))
            continue
        if _is_clear_text(backend):
            messages.append(
                checks.Warning(
                    f"HELIOGRAPH[{alias!r}] sends events in clear text over a network: {backend.settings.location}",
                    hint="Use an https:// LOCATION, or a router on this machine.",
                    id="heliograph.W001",
                )
            )
        backend.close()
    return messages


@checks.register(deploy=True)
def check_deployment(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[checks.CheckMessage]:
    """W002: a production site whose events reach nobody."""
    del app_configs
    try:
        built = [build_backend(alias, entry) for alias, entry in configured_aliases().items()]
    except ImproperlyConfigured:
        return []  # check_setting tells
    return [
        checks.Warning(
            f"HELIOGRAPH[{backend.alias!r}] uses {type(backend).__name__}: its events reach no browser and no device.",
            hint="Use heliograph.django.backends.HttpBackend in production.",
            id="heliograph.W002",
        )
        for backend in built
        if isinstance(backend, MemoryBackend | ConsoleBackend)
    ]


def _is_clear_text(backend: Backend) -> bool:
    if not isinstance(backend, HttpBackend):
        return False
    parts = urlsplit(backend.settings.location)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
