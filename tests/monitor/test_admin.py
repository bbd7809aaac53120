"""The admin: its pages come, and what is saved there is published."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser

from heliograph.django.testing import CapturedEvents
from heliograph.monitor.models import Client

LIST = "/admin/heliograph_monitor/client/"


@pytest.fixture
def machines(events: CapturedEvents) -> list[Client]:
    machines = [
        Client.objects.create(name="web-1", ip="192.0.2.7"),
        Client.objects.create(name="db-1", ip="2001:db8::7"),
        Client.objects.create(ip="192.0.2.9"),
    ]
    events._publications.clear()
    return machines


def _form(client: Client, **changes: str | None) -> dict[str, str]:
    fields = {"name": client.name or "", "ip": client.ip, "frequency": str(client.frequency)}
    fields |= dict.fromkeys(("show_cpus", "show_memory", "show_disk"), "on")
    return {key: value for key, value in (fields | changes).items() if value is not None}


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize(
    ("query", "shown"),
    [("", 3), ("?q=web", 1), ("?q=192.0.2", 2), ("?q=2001:db8", 1), ("?disabled__exact=1", 0), ("?o=-2", 3)],
)
def test_the_list_shows_searches_filters_and_sorts(browser: Browser, query: str, shown: int) -> None:
    response = browser.get(LIST + query)
    assert response.status_code == 200
    assert response.content.decode().count('class="action-select"') == shown


def test_a_tick_in_the_list_is_saved_and_published(
    browser: Browser, machines: list[Client], events: CapturedEvents
) -> None:
    rows = list(Client.objects.order_by("-pk"))
    form = {"form-TOTAL_FORMS": "3", "form-INITIAL_FORMS": "3", "_save": "Save"}
    for number, row in enumerate(browser.get(LIST).context["cl"].result_list):
        form |= {
            f"form-{number}-{key}": value for key, value in _form(row).items() if key not in ("name", "ip")
        }
        form[f"form-{number}-id"] = str(row.pk)
        if row.name == "web-1":
            del form[f"form-{number}-show_memory"]
            form[f"form-{number}-frequency"] = "5"
    assert browser.post(LIST, form).status_code == 302
    assert events.topics == ["clientconfig.web-1"], "machines that were not changed hear nothing"
    assert (events[0].args[0]["show_memory"], events[0].args[0]["frequency"]) == (False, 5)
    assert len(rows) == 3


def test_the_form_comes_with_its_help_and_saves(
    browser: Browser, machines: list[Client], events: CapturedEvents
) -> None:
    web = machines[0]
    page = browser.get(f"{LIST}{web.pk}/change/").content.decode()
    assert "1 to 3600 seconds." in page
    assert "The machine sends nothing" in page
    response = browser.post(f"{LIST}{web.pk}/change/", _form(web, frequency="60", disabled="on"))
    assert response.status_code == 302
    assert (events[0].topic, events[0].args[0]["frequency"]) == ("clientconfig.web-1", 60)
    assert events[0].args[0]["disabled"] is True


def test_a_machine_can_be_added_without_a_name_twice(browser: Browser, events: CapturedEvents) -> None:
    for ip in ("192.0.2.1", "192.0.2.2"):
        response = browser.post(f"{LIST}add/", _form(Client(ip=ip)))
        assert response.status_code == 302
    assert list(Client.objects.values_list("name", flat=True)) == [None, None]
    assert events.topics == ["clientconfig.192.0.2.1", "clientconfig.192.0.2.2"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"frequency": "0"}, "greater than or equal to 1"),
        ({"frequency": "3601"}, "less than or equal to 3600"),
        ({"name": "Web 1"}, "A client name has 1 to 64"),
        ({"name": "db-1"}, "There is a machine with this client name already."),
        ({"name": "", "ip": "192.0.2.9"}, "without a client name at this IP address already"),
        ({"ip": "nowhere"}, "Enter a valid IPv4 or IPv6 address."),
    ],
)
def test_wrong_values_are_refused_with_a_reason_and_publish_nothing(
    browser: Browser, machines: list[Client], events: CapturedEvents, changes: dict[str, str], text: str
) -> None:
    response = browser.post(f"{LIST}{machines[0].pk}/change/", _form(machines[0], **changes))
    assert response.status_code == 200
    assert text in response.content.decode()
    assert list(events) == []


@pytest.mark.parametrize(("action", "disabled"), [("disable", True), ("enable", False)])
def test_the_actions_disable_and_enable_and_publish(
    browser: Browser, machines: list[Client], events: CapturedEvents, action: str, disabled: bool
) -> None:
    form = {"action": action, "_selected_action": [str(machine.pk) for machine in machines[:2]]}
    response = browser.post(LIST, form, follow=True)
    assert f"2 machines were {action}d." in response.content.decode()
    assert events.topics == ["clientconfig.web-1", "clientconfig.db-1"]
    assert {event.args[0]["disabled"] for event in events} == {disabled}


def test_deleting_the_selected_machines_publishes_each(
    browser: Browser, machines: list[Client], events: CapturedEvents
) -> None:
    form = {
        "action": "delete_selected",
        "_selected_action": [str(machine.pk) for machine in machines],
        "post": "yes",
    }
    assert browser.post(LIST, form).status_code == 302
    assert sorted(events.topics) == ["clientconfig.192.0.2.9", "clientconfig.db-1", "clientconfig.web-1"]
    assert all(event.args[0]["deleted"] for event in events)


def test_deleting_one_machine_publishes_it(
    browser: Browser, machines: list[Client], events: CapturedEvents
) -> None:
    assert browser.post(f"{LIST}{machines[0].pk}/delete/", {"post": "yes"}).status_code == 302
    assert [(event.topic, event.args[0]["deleted"]) for event in events] == [("clientconfig.web-1", True)]


def test_who_may_only_look_gets_no_actions(machines: list[Client]) -> None:
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_client"))
    viewer = Browser()
    viewer.force_login(user)
    assert b'value="disable"' not in viewer.get(LIST).content
    form = {"action": "disable", "_selected_action": [str(machines[0].pk)]}
    viewer.post(LIST, form)
    assert not Client.objects.filter(disabled=True).exists()
