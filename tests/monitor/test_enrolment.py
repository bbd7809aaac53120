"""`POST /clients/`: how a machine gets its configuration, and what is answered to anything else."""

import json
import threading
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client as Browser
from django.utils import timezone
from pytest_django import Settings

from heliograph.django.testing import CapturedEvents
from heliograph.monitor import enrolment
from heliograph.monitor.models import Client
from heliograph.monitor.views import MAX_BODY_BYTES

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def machine() -> Browser:
    return Browser(enforce_csrf_checks=True)


def _post(machine: Browser, body: str | bytes, content_type: str = FORM, **headers: str) -> Any:
    return machine.post("/clients/", body, content_type=content_type, headers=headers)


@pytest.mark.django_db
@pytest.mark.parametrize("ip", ["192.0.2.7", "2001:db8::7"])
def test_the_tutorials_client_sends_its_address_and_gets_its_configuration(machine: Browser, ip: str) -> None:
    response = machine.post("/clients/", {"ip": ip})
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"].count("no-store") == 1
    client = Client.objects.get()
    assert response.json() == {
        "id": client.pk,
        "client": None,
        "ip": ip,
        "show_cpus": True,
        "show_memory": True,
        "show_disk": True,
        "disabled": False,
        "frequency": 1,
    }


@pytest.mark.django_db
def test_an_agent_sends_its_name_and_address(machine: Browser) -> None:
    started = timezone.now()
    answer = _post(machine, "client=web-1&ip=192.0.2.7").json()
    assert (answer["client"], answer["ip"]) == ("web-1", "192.0.2.7")
    stored = Client.objects.get(name="web-1")
    assert stored.last_seen is not None
    assert started <= stored.last_seen <= timezone.now()


@pytest.mark.django_db
def test_json_is_taken_too(machine: Browser) -> None:
    body = json.dumps({"client": "web-1", "ip": "192.0.2.7", "version": "0.1.0"})
    assert _post(machine, body, "application/json").json()["client"] == "web-1"


@pytest.mark.django_db
def test_a_known_machine_gets_what_the_admin_set(machine: Browser) -> None:
    client = Client.objects.create(name="web-1", ip="192.0.2.7", frequency=30, show_disk=False, disabled=True)
    answer = _post(machine, "client=web-1&ip=192.0.2.7").json()
    assert (answer["id"], answer["frequency"]) == (client.pk, 30)
    assert (answer["show_disk"], answer["disabled"]) == (False, True)
    assert Client.objects.count() == 1


def test_a_machine_that_moved_is_recorded_and_published(machine: Browser, events: CapturedEvents) -> None:
    _post(machine, "client=web-1&ip=192.0.2.7")
    _post(machine, "client=web-1&ip=192.0.2.7")
    assert events.topics == ["clientconfig.web-1"], "enrolling again changes nothing"
    _post(machine, "client=web-1&ip=2001:DB8::7")
    assert events.topics == ["clientconfig.web-1"] * 2
    assert events[1].args[0]["ip"] == Client.objects.get().ip == "2001:db8::7"


@pytest.mark.django_db
def test_two_spellings_of_an_address_are_one_machine(machine: Browser) -> None:
    for ip in ("2001:db8::7", "2001:DB8:0:0::7", "2001:0db8::0007"):
        assert machine.post("/clients/", {"ip": ip}).json()["ip"] == "2001:db8::7"
    machine.post("/clients/", {"ip": "::ffff:192.0.2.7"})
    machine.post("/clients/", {"ip": "192.0.2.7"})
    assert sorted(Client.objects.values_list("ip", flat=True)) == ["192.0.2.7", "2001:db8::7"]


@pytest.mark.django_db
def test_a_named_and_a_nameless_machine_may_share_an_address(machine: Browser) -> None:
    first = _post(machine, "client=web-1&ip=192.0.2.7").json()["id"]
    second = _post(machine, "ip=192.0.2.7").json()["id"]
    assert first != second


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("", FORM, "ip is missing; send a form (or JSON) with ip=<address>"),
        ("client=web-1", FORM, "ip is missing"),
        ("ip=", FORM, "ip must be an IPv4 or IPv6 address such as 192.0.2.7 or 2001:db8::7, got ''"),
        ("ip=300.1.1.1", FORM, "ip must be"),
        ("ip=fe80::1%25eth0", FORM, "ip must be"),
        ("ip=192.0.2.7%00", FORM, "ip must be"),
        ("ip=<script>", FORM, "ip must be"),
        ("client=&ip=192.0.2.7", FORM, "client must be 1 to 64 of the characters a-z, 0-9, _ and -, got ''"),
        ("client=Web.1&ip=192.0.2.7", FORM, "client must be"),
        ("client=web%0A&ip=192.0.2.7", FORM, "client must be"),
        (f"client={'x' * 65}&ip=192.0.2.7", FORM, "client must be"),
        ("client=%FF&ip=192.0.2.7", FORM, "client must be"),
        ("ip=192.0.2.7", "text/plain", "ip is missing"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x", "ip is missing"),
        (b"x", "multipart/form-data", "the body cannot be read"),
        ("&".join(f"a{number}=1" for number in range(1200))[:4000], FORM, "ip is missing"),
        ("&".join("a" for _ in range(1500)), FORM, "the body cannot be read"),
        ("{", "application/json", "truncated"),
        ("[]", "application/json", "Expected `object`, got `array`"),
        ("{}", "application/json", "missing required field `ip`"),
        ('{"ip": 7}', "application/json", "Expected `str`, got `int` - at `$.ip`"),
        (b'{"ip": "\xff"}', "application/json", "can't decode byte 0xff"),
        ("[" * 4000, "application/json", ""),
    ],
)
def test_wrong_input_is_answered_with_what_was_wrong(
    machine: Browser, body: str | bytes, content_type: str, text: str
) -> None:
    response = _post(machine, body, content_type)
    assert response.status_code == 400
    assert text in response.json()["error"]
    assert not Client.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("length", [MAX_BODY_BYTES, 3_000_000], ids=["a little", "more than Django reads"])
def test_a_long_body_is_refused(machine: Browser, length: int) -> None:
    response = _post(machine, "ip=192.0.2.7&x=" + "x" * length)
    assert response.status_code == 413
    assert f"may have {MAX_BODY_BYTES} bytes" in response.json()["error"]


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_other_methods_are_not_allowed(machine: Browser, method: str) -> None:
    response = getattr(machine, method)("/clients/")
    assert response.status_code == 405
    assert response["Allow"] == "POST"
    if method != "head":
        assert response.json() == {"error": "POST ip=<address>, or client=<name>&ip=<address>"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://testserver", 200), ("http://evil.example", 403), ("null", 403), ("http://testserver:81", 403)],
)
def test_a_page_of_another_site_cannot_enrol(machine: Browser, origin: str, status: int) -> None:
    assert _post(machine, "ip=192.0.2.7", origin=origin).status_code == status
    assert Client.objects.exists() == (status == 200)


@pytest.mark.django_db
def test_enrolment_stops_at_the_limit_but_known_machines_are_served(
    machine: Browser, settings: Settings
) -> None:
    settings.HELIOGRAPH_MONITOR_MAX_CLIENTS = 2
    assert [_post(machine, f"ip=192.0.2.{number}").status_code for number in (1, 2, 3)] == [200, 200, 403]
    response = _post(machine, "client=web-1&ip=192.0.2.3")
    assert (response.status_code, "there are 2 machines already" in response.json()["error"]) == (403, True)
    assert _post(machine, "ip=192.0.2.1").status_code == 200


@pytest.mark.django_db
def test_a_database_that_stays_locked_is_answered_with_try_again(
    machine: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_args: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(enrolment, "_find", locked)
    response = _post(machine, "ip=192.0.2.7")
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert "database is locked" in response.json()["error"]


@pytest.mark.django_db
def test_a_machine_that_others_always_make_first_and_delete_is_answered_with_try_again(
    machine: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment, "_find", lambda *_: None)
    Client.objects.create(ip="192.0.2.7")
    response = _post(machine, "ip=192.0.2.7")
    assert response.status_code == 503
    assert "192.0.2.7 is being made and deleted by others; try again" in response.json()["error"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("body", ["ip=192.0.2.7", "client=web-1&ip=192.0.2.{number}"])
def test_many_at_once_make_one_row_and_all_get_it(body: str) -> None:
    barrier = threading.Barrier(8)
    answers: list[tuple[int, Any]] = []

    def enrol(number: int) -> None:
        try:
            barrier.wait(10)
            for _ in range(5):
                response = _post(Browser(), body.format(number=number))
                answers.append((response.status_code, response.json()))
        finally:
            connection.close()

    threads = [threading.Thread(target=enrol, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status for status, _ in answers] == [200] * 40, answers
    assert {answer["id"] for _, answer in answers} == {Client.objects.get().pk}


@pytest.mark.django_db(transaction=True)
def test_a_machine_that_is_made_and_deleted_at_the_same_time_is_always_answered() -> None:
    stop = threading.Event()

    def delete() -> None:
        try:
            while not stop.is_set():
                Client.objects.filter(name="web-1").delete()
        finally:
            connection.close()

    deleter = threading.Thread(target=delete)
    deleter.start()
    try:
        answers = [_post(Browser(), "client=web-1&ip=192.0.2.7") for _ in range(50)]
    finally:
        stop.set()
        deleter.join()
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert any(answer.status_code == 200 for answer in answers)
