"""A router that is down or hangs neither breaks nor slows a bulk save."""

import time

import pytest
from django.db import transaction
from pytest_django import Settings

from heliograph.client.bodies import MOST_EVENTS
from heliograph.django import flush
from heliograph.django.backends import HttpBackend
from heliograph.django.registry import backends
from heliograph.monitor.models import Client
from tests.django.routers import free_port, hanging_router, recording_router

pytestmark = pytest.mark.django_db(transaction=True)

MACHINES = 1000


def _use(settings: Settings, url: str) -> HttpBackend:
    settings.HELIOGRAPH = {
        "default": {
            "BACKEND": "heliograph.django.backends.HttpBackend",
            "LOCATION": url,
            "TIMEOUT": 1.0,
            "OPTIONS": {"cool_down_s": 60},
        }
    }
    backend = backends["default"]
    assert isinstance(backend, HttpBackend)
    return backend


def _save_all(*, atomic: bool) -> float:
    started_s = time.monotonic()
    if atomic:
        with transaction.atomic():
            for number in range(MACHINES):
                Client.objects.create(name=f"m{number}", ip="192.0.2.7")
    else:
        for number in range(MACHINES):
            Client.objects.create(name=f"m{number}", ip="192.0.2.7")
    return time.monotonic() - started_s


@pytest.mark.parametrize("atomic", [True, False], ids=["one transaction", "a transaction each"])
@pytest.mark.parametrize("state", ["hangs", "down"])
def test_a_bulk_save_takes_as_long_as_without_a_router(settings: Settings, state: str, atomic: bool) -> None:
    without_router_s = _save_all(atomic=atomic)
    Client.objects.all().delete()
    with hanging_router() as hanging_url:
        url = hanging_url if state == "hangs" else f"http://127.0.0.1:{free_port()}/notify"
        backend = _use(settings, url)
        with_router_s = _save_all(atomic=atomic)
        assert Client.objects.count() == MACHINES
        assert with_router_s < 2 * without_router_s + 1
        assert flush(5) == 0
        found = backend.statistics()
        # One request failed, with whatever had waited for it; what came after was dropped without trying.
        assert found.failed + found.dropped == MACHINES
        assert 1 <= found.failed <= MOST_EVENTS
        backends.close()


def test_every_configuration_of_a_bulk_save_arrives_in_order(settings: Settings) -> None:
    with recording_router() as router:
        _use(settings, router.url)
        _save_all(atomic=True)
        router.wait_for(MACHINES)
        assert router.topics == [f"clientconfig.m{number}" for number in range(MACHINES)]
        backends.close()
