from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import Settings

from heliograph.django.backends import HttpBackend, MemoryBackend
from heliograph.django.registry import backends
from tests.django.routers import RecordingRouter, hanging_router, recording_router

HTTP = "heliograph.django.backends.HttpBackend"


@pytest.fixture
def router() -> Iterator[RecordingRouter]:
    with recording_router() as running:
        yield running


@pytest.fixture
def hanging_url() -> Iterator[str]:
    with hanging_router() as url:
        yield url


@pytest.fixture
def memory() -> Iterator[MemoryBackend]:
    backend = backends["default"]
    assert isinstance(backend, MemoryBackend)
    backend.clear()
    yield backend
    backend.clear()


@pytest.fixture
def use_http(settings: Settings) -> Callable[..., HttpBackend]:
    """Make the HTTP backend the default one; entries in capitals are the setting's, others its OPTIONS."""

    def use(location: str, **changes: Any) -> HttpBackend:
        entry = {"BACKEND": HTTP, "LOCATION": location, "TIMEOUT": 0.5}
        entry |= {key: value for key, value in changes.items() if key.isupper()}
        entry["OPTIONS"] = {key: value for key, value in changes.items() if not key.isupper()}
        settings.HELIOGRAPH = {"default": entry}
        backend = backends["default"]
        assert isinstance(backend, HttpBackend)
        return backend

    return use
