from __future__ import annotations

from typing import Any

import pytest

from heliograph.agent.configuration import Configuration

OLD = Configuration(show_cpus=False, show_memory=True, show_disk=False, disabled=False, frequency=7)


def test_a_machine_nobody_configured_shows_everything_every_second() -> None:
    assert Configuration() == Configuration(
        show_cpus=True, show_memory=True, show_disk=True, disabled=False, frequency=1
    )


def test_the_servers_whole_object_is_obeyed_and_its_other_keys_are_ignored() -> None:
    obeyed = OLD.obey(
        {
            "id": 3,
            "client": None,
            "ip": "192.0.2.7",
            "show_cpus": True,
            "show_memory": False,
            "show_disk": True,
            "disabled": True,
            "frequency": 60,
            "command": "reboot",
        }
    )
    assert obeyed.refusals == {}
    assert obeyed.configuration == Configuration(
        show_cpus=True, show_memory=False, show_disk=True, disabled=True, frequency=60
    )


def test_keys_that_are_absent_keep_their_values() -> None:
    assert OLD.obey({}).configuration == OLD
    assert OLD.obey({"frequency": 9}).configuration.show_cpus is False


@pytest.mark.parametrize("frequency", [1, 2, 3599, 3600])
def test_whole_seconds_from_one_to_an_hour_are_a_frequency(frequency: int) -> None:
    assert OLD.obey({"frequency": frequency}).configuration.frequency == frequency


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-1, "-1"),
        (3601, "3601"),
        (10**100, "a value of type int"),
        (1.0, "1.0"),
        (float("nan"), "nan"),
        (True, "True"),
        (None, "None"),
        ("5", "a value of type str"),
        ([5], "a value of type list"),
        ({}, "a value of type dict"),
    ],
)
def test_a_wrong_frequency_keeps_the_old_one_and_only_it(value: Any, shown: str) -> None:
    obeyed = OLD.obey({"frequency": value, "show_cpus": True})
    assert obeyed.configuration.frequency == 7
    assert obeyed.configuration.show_cpus is True
    assert obeyed.refusals == {"frequency": f"must be whole seconds from 1 to 3600, not {shown}"}


@pytest.mark.parametrize("key", ["show_cpus", "show_memory", "show_disk", "disabled"])
@pytest.mark.parametrize("value", [0, 1, None, "true", [], "x" * 100_000])
def test_a_wrong_switch_keeps_the_old_one(key: str, value: Any) -> None:
    obeyed = OLD.obey({key: value})
    assert obeyed.configuration == OLD
    assert list(obeyed.refusals) == [key]
    assert len(obeyed.refusals[key]) < 100


@pytest.mark.parametrize(("frequency", "floor_s", "interval_s"), [(1, 1, 1), (1, 10, 10), (60, 10, 60)])
def test_the_hosts_floor_bounds_the_interval(frequency: int, floor_s: int, interval_s: int) -> None:
    assert Configuration(frequency=frequency).interval_s(floor_s) == interval_s
