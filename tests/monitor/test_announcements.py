"""Every way in which a configuration changes is published, on the right topic, after the commit."""

from typing import Any

import pytest
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Concat

from heliograph.django.testing import CapturedEvents
from heliograph.monitor.models import Client

pytestmark = pytest.mark.django_db


def _configuration(client: Client, /, **changes: Any) -> dict[str, Any]:
    return {
        "id": client.pk,
        "client": client.name,
        "ip": client.ip,
        "show_cpus": True,
        "show_memory": True,
        "show_disk": True,
        "disabled": False,
        "frequency": 1,
    } | changes


def _published(events: CapturedEvents) -> list[tuple[str, Any]]:
    return [(event.topic, event.args[0]) for event in events]


@pytest.fixture
def web(events: CapturedEvents) -> Client:
    """A machine whose creation is no longer among the events."""
    client = Client.objects.create(name="web-1", ip="192.0.2.7")
    events._publications.clear()
    return client


def test_a_new_machine_is_published_under_its_name(events: CapturedEvents) -> None:
    client = Client.objects.create(name="web-1", ip="192.0.2.7")
    assert _published(events) == [("clientconfig.web-1", _configuration(client))]


@pytest.mark.parametrize("ip", ["192.0.2.7", "2001:db8::7"])
def test_a_machine_without_a_name_is_published_under_its_address(events: CapturedEvents, ip: str) -> None:
    client = Client.objects.create(ip=ip)
    assert _published(events) == [(f"clientconfig.{ip}", _configuration(client))]


def test_a_change_is_published(events: CapturedEvents, web: Client) -> None:
    web.frequency, web.show_memory = 5, False
    web.save()
    assert _published(events) == [("clientconfig.web-1", _configuration(web, frequency=5, show_memory=False))]


def test_what_is_published_is_what_is_stored(events: CapturedEvents, web: Client) -> None:
    web.frequency = "7"
    web.disabled = True
    web.save(update_fields=["frequency"])
    assert _published(events) == [("clientconfig.web-1", _configuration(web, frequency=7, disabled=False))]


def test_an_expression_is_published_as_its_value(events: CapturedEvents, web: Client) -> None:
    web.frequency = F("frequency") + 4
    web.save()
    assert events[0].args[0]["frequency"] == 5


def test_a_deletion_is_published(events: CapturedEvents, web: Client) -> None:
    pk = web.pk
    web.delete()
    gone = _configuration(web, id=pk, disabled=True, deleted=True)
    assert _published(events) == [("clientconfig.web-1", gone)]


def test_a_deletion_tells_the_stored_name_whatever_the_instance_says(
    events: CapturedEvents, web: Client
) -> None:
    web.name = "renamed-in-memory"
    web.delete()
    assert [(topic, gone["client"]) for topic, gone in _published(events)] == [
        ("clientconfig.web-1", "web-1")
    ]


def test_a_rename_closes_the_old_topic_first(events: CapturedEvents, web: Client) -> None:
    web.name = "web-2"
    web.save()
    assert _published(events) == [
        ("clientconfig.web-1", _configuration(web, client="web-1", disabled=True, deleted=True)),
        ("clientconfig.web-2", _configuration(web)),
    ]


def test_naming_a_machine_closes_the_topic_of_its_address(events: CapturedEvents) -> None:
    client = Client.objects.create(ip="192.0.2.7")
    client.name = "web-1"
    client.save()
    assert events.topics == ["clientconfig.192.0.2.7", "clientconfig.192.0.2.7", "clientconfig.web-1"]
    assert events[1].args[0]["deleted"] is True
    assert events[1].args[0]["client"] is None


def test_a_named_machine_that_moves_keeps_its_topic(events: CapturedEvents, web: Client) -> None:
    web.ip = "192.0.2.8"
    web.save()
    assert _published(events) == [("clientconfig.web-1", _configuration(web, ip="192.0.2.8"))]


def test_a_machine_without_a_name_that_moves_closes_its_old_topic(events: CapturedEvents) -> None:
    client = Client.objects.create(ip="192.0.2.7")
    client.ip = "192.0.2.8"
    client.save()
    assert events.topics[1:] == ["clientconfig.192.0.2.7", "clientconfig.192.0.2.8"]


def test_a_rename_by_an_instance_that_was_never_loaded_is_noticed(
    events: CapturedEvents, web: Client
) -> None:
    Client(pk=web.pk, name="web-2", ip="192.0.2.7").save()
    assert events.topics == ["clientconfig.web-1", "clientconfig.web-2"]


def test_a_rollback_publishes_nothing(events: CapturedEvents, web: Client) -> None:
    def change_and_fail() -> None:
        with transaction.atomic():
            web.disabled = True
            web.save()
            Client.objects.update(frequency=9)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    assert _published(events) == []


def test_nothing_is_published_before_the_commit(events: CapturedEvents, web: Client) -> None:
    with transaction.atomic():
        web.save()
        assert _published(events) == []
    assert len(events) == 1


@pytest.mark.usefixtures("web")
def test_update_publishes_the_rows_it_changes_and_no_others(events: CapturedEvents) -> None:
    db = Client.objects.create(name="db-1", ip="192.0.2.9", disabled=True)
    before = len(events)
    assert Client.objects.filter(disabled=True).update(disabled=False, frequency=F("frequency") + 1) == 1
    assert _published(events)[before:] == [
        ("clientconfig.db-1", _configuration(db, disabled=False, frequency=2))
    ]


def test_update_of_names_closes_the_old_topics(events: CapturedEvents, web: Client) -> None:
    Client.objects.filter(pk=web.pk).update(name=Concat("name", Value("-old")))
    assert events.topics == ["clientconfig.web-1", "clientconfig.web-1-old"]
    assert events[0].args[0]["deleted"] is True


def test_update_of_last_seen_publishes_nothing(events: CapturedEvents, web: Client) -> None:
    assert Client.objects.update(last_seen=None) == 1
    assert _published(events) == []


def test_update_in_batches_changes_and_publishes_every_row(events: CapturedEvents) -> None:
    Client.objects.bulk_create([Client(name=f"m{number}", ip="192.0.2.7") for number in range(1201)])
    assert len(events) == 1201
    assert Client.objects.update(frequency=2) == 1201
    assert len(events) == 2402
    assert {event.args[0]["frequency"] for event in events[1201:]} == {2}


def test_bulk_update_publishes(events: CapturedEvents, web: Client) -> None:
    web.frequency = 30
    assert Client.objects.bulk_update([web], ["frequency"]) == 1
    assert _published(events) == [("clientconfig.web-1", _configuration(web, frequency=30))]


def test_bulk_create_publishes_what_is_stored_also_when_conflicts_are_ignored(
    events: CapturedEvents, web: Client
) -> None:
    Client.objects.bulk_create(
        [Client(name="web-1", ip="192.0.2.99", frequency=60), Client(ip="192.0.2.8")], ignore_conflicts=True
    )
    assert [(topic, stored["ip"], stored["frequency"]) for topic, stored in _published(events)] == [
        ("clientconfig.web-1", "192.0.2.7", 1),
        ("clientconfig.192.0.2.8", "192.0.2.8", 1),
    ]


def test_deleting_a_query_set_publishes_each_machine(events: CapturedEvents) -> None:
    Client.objects.bulk_create([Client(name=f"m{number}", ip="192.0.2.7") for number in range(3)])
    Client.objects.all().delete()
    assert sorted(events.topics[3:]) == ["clientconfig.m0", "clientconfig.m1", "clientconfig.m2"]
    assert all(event.args[0]["deleted"] and event.args[0]["disabled"] for event in events[3:])


def test_update_or_create_publishes(events: CapturedEvents, web: Client) -> None:
    Client.objects.update_or_create(name="web-1", defaults={"frequency": 4})
    assert [stored["frequency"] for _, stored in _published(events)] == [4]
