"""The backends of this process, built from `HELIOGRAPH` when first used, and rebuilt when the setting changes."""

import os
import threading
from collections.abc import Mapping
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from heliograph.auth.bearer import BearerToken
from heliograph.django.backends.base import Backend
from heliograph.django.options import DEFAULT_ALIAS, BackendSettings

_DEFAULT_SETTING: Mapping[str, Mapping[str, Any]] = {
    DEFAULT_ALIAS: {"BACKEND": "heliograph.django.backends.HttpBackend"}
}


def configured_aliases() -> Mapping[str, Any]:
    """Return the `HELIOGRAPH` setting, or the default: the HTTP backend, to a router on this machine.

    Tokens in it are `BearerToken`: a traceback with variables, as on Django's page for errors, shows none.

    Raises:
        ImproperlyConfigured: it is no dict, or lacks the entry `default`.
    """
    setting = _with_hidden_tokens(getattr(settings, "HELIOGRAPH", _DEFAULT_SETTING))
    if not isinstance(setting, Mapping) or DEFAULT_ALIAS not in setting:
        raise ImproperlyConfigured(
            "HELIOGRAPH must be a dict with an entry 'default', shaped like CACHES:"
            " {'default': {'BACKEND': 'heliograph.django.backends.HttpBackend', 'LOCATION': …}}"
        )
    return setting


def _with_hidden_tokens(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        key: BearerToken(item) if key == "token" and isinstance(item, str) else _with_hidden_tokens(item)
        for key, item in value.items()
    }


def build_backend(alias: str, entry: Any) -> Backend:
    """Return a new backend for one entry of `HELIOGRAPH`.

    Raises:
        ImproperlyConfigured: the entry is wrong; the text says how.
    """
    try:
        parsed = msgspec.convert(entry, BackendSettings)
    except msgspec.ValidationError as error:
        raise ImproperlyConfigured(f"HELIOGRAPH[{alias!r}]: {error}") from error
    try:
        backend_class = import_string(parsed.backend)
    except ImportError as error:
        raise ImproperlyConfigured(f"HELIOGRAPH[{alias!r}]['BACKEND']: {error}") from error
    if not (isinstance(backend_class, type) and issubclass(backend_class, Backend)):
        raise ImproperlyConfigured(
            f"HELIOGRAPH[{alias!r}]['BACKEND']: {parsed.backend} is not a heliograph.django.backends.Backend"
        )
    return backend_class(alias, parsed)


class Backends:
    """The backends by alias; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._built: dict[str, Backend] = {}

    def __getitem__(self, alias: str) -> Backend:
        """Return the backend, built when first asked for.

        Raises:
            ImproperlyConfigured: there is no such entry, or it is wrong.
        """
        backend = self._built.get(alias)
        if backend is not None:
            return backend
        with self._lock:
            if alias not in self._built:
                aliases = configured_aliases()
                if alias not in aliases:
                    raise ImproperlyConfigured(
                        f"HELIOGRAPH has no entry {alias!r}; it has {', '.join(aliases)}"
                    )
                self._built[alias] = build_backend(alias, aliases[alias])
            return self._built[alias]

    def built(self) -> list[Backend]:
        """Return the backends in use."""
        return list(self._built.values())

    def close(self) -> None:
        """Close the backends in use; the next event builds new ones."""
        with self._lock:
            built, self._built = list(self._built.values()), {}
        for backend in built:
            backend.close()

    def forget_after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock. The backends stay."""
        self._lock = threading.Lock()


backends = Backends()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=backends.forget_after_fork)


def _rebuild(*, setting: str, **_kwargs: object) -> None:
    if setting == "HELIOGRAPH":
        backends.close()


setting_changed.connect(_rebuild, dispatch_uid="heliograph.django.registry")
