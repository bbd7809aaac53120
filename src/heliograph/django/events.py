"""One event: checked, and turned into plain JSON values, when `publish()` is called."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from django.core.serializers.json import DjangoJSONEncoder

from heliograph.client.errors import HeliographError
from heliograph.wamp.uris import LOOSE, MAX_URI_BYTES, is_reserved


class InvalidEvent(HeliographError, ValueError):  # noqa: N818 - reads as what it is at the place that raises it
    """An event that no router would take: a wrong topic, or a payload that JSON cannot express."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What subscribers will receive, as plain JSON values: later changes to the caller's objects do not show.

    Args:
        topic: where it goes.
        args: positional payload.
        kwargs: keyword payload.
        options: WAMP publish options (`exclude_me`, `eligible_authrole`, …).
        size_bytes: length of payload and options as JSON.
    """

    topic: str
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    options: dict[str, Any] = {}
    size_bytes: int = 0


def make_event(
    topic: str,
    args: list[Any] | tuple[Any, ...],
    kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any] | None,
    *,
    max_event_bytes: int,
) -> Event:
    """Return the event, its values turned into JSON by Django's rules (dates, `Decimal`, `UUID`, lazy text).

    Raises:
        InvalidEvent: the topic is wrong, a value cannot be JSON, or the event has more than `max_event_bytes`.
    """
    _check_topic(topic)
    if not isinstance(args, list | tuple):
        raise InvalidEvent(f"topic {topic!r}: args must be a list or a tuple, got {type(args).__name__}")
    for name, value in (("kwargs", kwargs), ("options", options)):
        if value is not None and not isinstance(value, Mapping):
            raise InvalidEvent(f"topic {topic!r}: {name} must be a dict, got {type(value).__name__}")
    try:
        text = json.dumps(
            [args, dict(kwargs or {}), dict(options or {})],
            cls=DjangoJSONEncoder,
            allow_nan=False,
            ensure_ascii=False,
            separators=(",", ":"),
        )
        encoded = text.encode()
        values = msgspec.json.decode(encoded)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEvent(
            f"topic {topic!r}: the payload cannot be sent as JSON ({error});"
            " pass text, numbers, booleans, None, dates, Decimal, UUID, and lists and dicts of these"
        ) from error
    if len(encoded) > max_event_bytes:
        raise InvalidEvent(
            f"topic {topic!r}: the payload has {len(encoded)} bytes as JSON and may have {max_event_bytes}"
            " (max_event_bytes in HELIOGRAPH's OPTIONS); send an id and let receivers fetch the rest"
        )
    return Event(topic=topic, args=values[0], kwargs=values[1], options=values[2], size_bytes=len(encoded))


def _check_topic(topic: str) -> None:
    if not isinstance(topic, str):
        raise InvalidEvent(f"a topic is text, got {type(topic).__name__}")
    if not LOOSE["exact"].match(topic) or len(topic.encode(errors="surrogatepass")) > MAX_URI_BYTES:
        raise InvalidEvent(
            f"{topic[:100]!r} is not a topic: it has parts separated by dots, none of them empty, without white space"
            f" and '#', at most {MAX_URI_BYTES} bytes in all"
        )
    if is_reserved(topic):
        raise InvalidEvent(f"{topic[:100]!r} belongs to the router: topics may not begin with 'wamp.'")
    if not topic.isprintable() or any("\ud800" <= character <= "\udfff" for character in topic):
        raise InvalidEvent(f"{topic[:100]!r} is not a topic: it holds characters that cannot be sent")
