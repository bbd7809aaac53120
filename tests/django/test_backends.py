"""The backends for tests and for development."""

import pytest
from pytest_django import Settings

from heliograph.django import publish
from heliograph.django.backends import MemoryBackend
from heliograph.django.registry import backends


def test_the_console_backend_writes_one_line_an_event(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.HELIOGRAPH = {"default": {"BACKEND": "heliograph.django.backends.ConsoleBackend"}}
    publish("a.b", 1, "line\nbreak", k="é")
    assert capsys.readouterr().out == 'heliograph event: a.b [[1,"line\\nbreak"],{"k":"é"}]\n'


def test_the_memory_backend_forgets_the_oldest(settings: Settings) -> None:
    settings.HELIOGRAPH = {
        "default": {"BACKEND": "heliograph.django.backends.MemoryBackend", "OPTIONS": {"max_events": 2}}
    }
    for topic in "abc":
        publish(topic)
    memory = backends["default"]
    assert isinstance(memory, MemoryBackend)
    assert [event.topic for event in memory.events] == ["b", "c"]


def test_without_a_setting_events_go_to_the_router_of_this_machine(settings: Settings) -> None:
    del settings.HELIOGRAPH
    assert backends["default"].settings.location == "http://127.0.0.1:8080/notify"
