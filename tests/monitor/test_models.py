"""The machine's row: what may be in it."""

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction

from heliograph.monitor.models import Client

pytestmark = pytest.mark.django_db


def test_the_migrations_are_complete() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_the_defaults_are_the_tutorials() -> None:
    client = Client.objects.create(ip="192.0.2.7")
    assert (client.show_cpus, client.show_memory, client.show_disk) == (True, True, True)
    assert (client.disabled, client.frequency, client.name, client.last_seen) == (False, 1, None, None)


@pytest.mark.parametrize("name", ["web-1", "a", "0_-", "x" * 64])
def test_good_names_are_taken(name: str) -> None:
    Client(name=name, ip="192.0.2.7").full_clean()


@pytest.mark.parametrize("name", ["Web", "a.b", "a b", "é", "x" * 65, "a\n", "<b>", "a#"])
def test_wrong_names_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=r"A client name has 1 to 64|at most 64"):
        Client(name=name, ip="192.0.2.7").full_clean()


@pytest.mark.parametrize("frequency", [0, -1, 3601])
def test_a_frequency_outside_1_to_3600_is_refused_by_forms_and_by_the_database(frequency: int) -> None:
    client = Client(ip="192.0.2.7", frequency=frequency)
    with pytest.raises(ValidationError, match="frequency"):
        client.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        client.save()


def test_names_are_unique() -> None:
    Client.objects.create(name="web-1", ip="192.0.2.7")
    with pytest.raises(IntegrityError), transaction.atomic():
        Client.objects.create(name="web-1", ip="192.0.2.8")


def test_an_address_is_unique_among_machines_without_a_name_only() -> None:
    for name in ("web-1", "web-2", None):
        Client.objects.create(name=name, ip="192.0.2.7")
    with pytest.raises(IntegrityError), transaction.atomic():
        Client.objects.create(ip="192.0.2.7")
    with pytest.raises(ValidationError, match="without a client name at this IP address"):
        Client(ip="192.0.2.7").full_clean()


def test_an_empty_name_is_none() -> None:
    assert Client.objects.create(name="", ip="192.0.2.7").name is None


def test_the_database_refuses_an_empty_name_from_bulk_methods() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Client.objects.bulk_create([Client(name="", ip="192.0.2.7")])


def test_it_is_shown_by_name_or_else_by_address() -> None:
    assert str(Client(name="web-1", ip="192.0.2.7")) == "web-1"
    assert str(Client(ip="2001:db8::7")) == "2001:db8::7"
