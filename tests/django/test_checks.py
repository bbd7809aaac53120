"""System checks of the setting."""

from typing import Any

import pytest
from pytest_django import Settings

from heliograph.django.checks import check_deployment, check_setting

HTTP = "heliograph.django.backends.HttpBackend"
MEMORY = "heliograph.django.backends.MemoryBackend"


@pytest.mark.parametrize("setting", [None, [], {}, {"other": {"BACKEND": MEMORY}}])
def test_a_setting_of_a_wrong_shape_is_an_error(settings: Settings, setting: Any) -> None:
    settings.HELIOGRAPH = setting
    (message,) = check_setting(app_configs=None)
    assert message.id == "heliograph.E001"
    assert "an entry 'default'" in message.msg


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({}, "missing required field `BACKEND`"),
        ("text", "Expected `object`, got `str`"),
        ({"BACKEND": "no.such.Backend"}, "No module named 'no'"),
        ({"BACKEND": "heliograph.django.backends.NoBackend"}, "NoBackend"),
        ({"BACKEND": "heliograph.django.Event"}, "is not a heliograph.django.backends.Backend"),
        ({"BACKEND": HTTP, "TIMEOUT": 0}, "Expected `float` > 0.0 - at `$.TIMEOUT`"),
        ({"BACKEND": HTTP, "TIMEOUT": "2"}, "Expected `float`, got `str` - at `$.TIMEOUT`"),
        ({"BACKEND": HTTP, "ON_ERROR": "ignore"}, "Invalid enum value 'ignore' - at `$.ON_ERROR`"),
        ({"BACKEND": HTTP, "LOKATION": "http://x/"}, "unknown field `LOKATION`"),
        ({"BACKEND": HTTP, "LOCATION": "127.0.0.1:8080"}, "['LOCATION']: '127.0.0.1:8080' is no HTTP URL"),
        ({"BACKEND": HTTP, "LOCATION": "http://127.0.0.1:x/"}, "['LOCATION']: Port could not be cast"),
        ({"BACKEND": HTTP, "LOCATION": "ws://127.0.0.1/ws"}, "is no HTTP URL"),
        (
            {"BACKEND": HTTP, "LOCATION": "http://u:p@127.0.0.1/"},
            "a user or password in the URL is not supported",
        ),
        (
            {"BACKEND": HTTP, "OPTIONS": {"cool_down": 1}},
            "['OPTIONS']: Object contains unknown field `cool_down`",
        ),
        (
            {"BACKEND": HTTP, "OPTIONS": {"token": "too-short"}},
            "['OPTIONS']['token'] must have 16 to 512 of the characters",
        ),
        ({"BACKEND": HTTP, "OPTIONS": {"token": 5}}, "Expected `BearerToken`, got `int` - at `$.token`"),
        (
            {"BACKEND": HTTP, "OPTIONS": {"token_file": "/nonexistent/token"}},
            "['token_file']: /nonexistent/token cannot be read: No such file or directory",
        ),
        (
            {"BACKEND": HTTP, "OPTIONS": {"token": "x" * 20, "token_file": "f"}},
            "give token or token_file, not both",
        ),
        ({"BACKEND": MEMORY, "OPTIONS": {"cool_down_s": 1}}, "unknown field `cool_down_s`"),
    ],
)
def test_an_entry_that_cannot_work_is_an_error_that_says_why(
    settings: Settings, entry: Any, text: str
) -> None:
    settings.HELIOGRAPH = {"default": {"BACKEND": MEMORY}, "wrong": entry}
    (message,) = check_setting(app_configs=None)
    assert message.id == "heliograph.E002"
    assert message.msg.startswith("HELIOGRAPH['wrong']")
    assert text in message.msg


@pytest.mark.parametrize(
    ("location", "warned"),
    [
        ("http://127.0.0.1:8080/notify", False),
        ("http://localhost:8080/notify", False),
        ("http://[::1]:8080/notify", False),
        ("https://router.example.org/notify", False),
        ("http://router.example.org/notify", True),
        ("http://192.0.2.7:8080/notify", True),
    ],
)
def test_clear_text_over_a_network_is_warned_of(settings: Settings, location: str, warned: bool) -> None:
    settings.HELIOGRAPH = {"default": {"BACKEND": HTTP, "LOCATION": location}}
    assert [message.id for message in check_setting(app_configs=None)] == ["heliograph.W001"] * warned


def test_a_deployment_whose_events_reach_nobody_is_warned_of(settings: Settings) -> None:
    assert [message.id for message in check_deployment(app_configs=None)] == ["heliograph.W002"]
    settings.HELIOGRAPH = {"default": {"BACKEND": HTTP}}
    assert check_deployment(app_configs=None) == []
    settings.HELIOGRAPH = {}
    assert check_deployment(app_configs=None) == [], "the other check reports the shape"


def test_no_message_shows_a_token(settings: Settings) -> None:
    for entry in (
        {"LOCATION": "x"},
        {"OPTIONS": {"nothing": 1}},
        {"LOCATION": "http://router.example/"},
        {"X": 1},
    ):
        options = {"token": "tooshort", **entry.get("OPTIONS", {})}  # type: ignore[dict-item]
        settings.HELIOGRAPH = {"default": {"BACKEND": HTTP, **entry, "OPTIONS": options}}
        (message,) = check_setting(app_configs=None)
        assert "tooshort" not in str(message)
