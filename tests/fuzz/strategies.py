"""Any message at all, with values that are likely to mean something to the others of a conversation."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from heliograph.wamp.errors import UNAVAILABLE
from heliograph.wamp.ids import MAX_ID
from heliograph.wamp.messages import (
    MESSAGE_TYPES,
    Call,
    Cancel,
    Details,
    Error,
    Message,
    Publish,
    Register,
    Subscribe,
    Unregister,
    Unsubscribe,
    Yield,
)
from heliograph.wamp.payload import BarePayload, EncodedPayload, Payload, PlainPayload
from heliograph.wire.serializers import serializer
from tests.wire.strategies import TEXT, VALUES, of_type

META = (
    *(
        f"wamp.session.{name}"
        for name in ("count", "list", "get", "kill", "kill_by_authid", "kill_by_authrole")
    ),
    *(f"wamp.session.{name}" for name in ("kill_all", "add_testament", "flush_testaments", "modify_details")),
    *(f"wamp.subscription.{name}" for name in ("list", "lookup", "match", "get", "get_events")),
    *(f"wamp.subscription.{name}" for name in ("list_subscribers", "count_subscribers", "remove_subscriber")),
    *(f"wamp.registration.{name}" for name in ("list", "lookup", "match", "get", "list_callees")),
    *(f"wamp.registration.{name}" for name in ("count_callees", "remove_callee")),
)
EVENTS = (
    *(f"wamp.session.{name}" for name in ("on_join", "on_leave")),
    *(f"wamp.subscription.{name}" for name in ("on_create", "on_subscribe", "on_unsubscribe", "on_delete")),
    *(f"wamp.registration.{name}" for name in ("on_create", "on_register", "on_unregister", "on_delete")),
)
AUTHORIZER = "com.authorize"
USUAL = ("com.a", "com.a", "com.a.b", "com.b", AUTHORIZER)
PATTERNS = ("", "com.", "com.a", "com..b", "com.a.", "..", "wamp.", "wamp..on_join", ".")
BAD = ("." * 40, "a b", "com.#", "com..a.", "x" * 1025, "wamp", "\0", "com.a\n", "é.ü")

URIS = st.one_of(
    st.sampled_from(USUAL),
    st.sampled_from(USUAL),
    st.sampled_from(META + EVENTS),
    st.sampled_from(PATTERNS + BAD),
    TEXT,
)
# Small ones are requests, subscriptions and registrations, those above 1000 sessions and publications.
IDS = st.one_of(st.integers(1, 6), st.integers(1001, 1012), st.sampled_from([MAX_ID, MAX_ID - 1]))
NAMES = st.one_of(
    st.sampled_from(["anonymous", "watched", "wamp.error.unavailable", "wamp.close.normal", "realm1"]), TEXT
)

_META_KWARGS: dict[str, st.SearchStrategy[Any]] = {
    "reason": URIS,
    "message": TEXT,
    "scope": st.sampled_from(["destroyed", "detached", "neither"]),
    "publish_options": st.fixed_dictionaries(
        {}, optional={"retain": st.booleans(), "exclude_me": st.booleans(), "eligible": st.lists(IDS)}
    ),
    "limit": st.integers(-1, 3),
    "reverse": st.booleans(),
    "topic": URIS,
    "from_time": st.sampled_from(["2023-11-14T22:13:20Z", "2023-11-14T22:13:20", "yesterday"]),
    "after_publication": IDS,
    "until_publication": IDS,
}
_ARGUMENTS = st.one_of(IDS, URIS, st.just({"match": "prefix"}), st.lists(NAMES, max_size=2), VALUES)

PLAIN: st.SearchStrategy[Payload] = st.builds(
    PlainPayload,
    st.lists(_ARGUMENTS, max_size=3),
    st.one_of(st.just({}), st.fixed_dictionaries({}, optional=_META_KWARGS)),
)
# Bytes of a format that others cannot say: infinity, keys that are no text, numbers too large.
FOREIGN: st.SearchStrategy[Payload] = st.sampled_from(
    [
        EncodedPayload(serializer("json"), b"[1e999]", b""),
        EncodedPayload(serializer("json"), b'["\\u0000no base64"]', b""),
        EncodedPayload(serializer("json"), b"[" + b"9" * 30 + b"]", b""),
        EncodedPayload(serializer("msgpack"), b"\x91\x81\xc0\x01", b""),
        EncodedPayload(serializer("msgpack"), b"\x91\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", b""),
        EncodedPayload(serializer("msgpack"), b"\x91" * 300 + b"\xc0", b""),
        PlainPayload([float("inf")]),
        PlainPayload([2**70]),
        PlainPayload([10**5000]),
        PlainPayload([[[]] * 70_000]),
        EncodedPayload(serializer("json"), b"[" + b",".join([b"[]"] * 70_000) + b"]", b""),
        PlainPayload([{"a": {1: 2}}]),
        PlainPayload(["\0text"]),
        PlainPayload([b"\x00"]),
        BarePayload(b"\xff"),
    ]
)
PAYLOADS = st.integers(0, 4).flatmap(lambda lot: PLAIN if lot else FOREIGN)

EVERY_FEATURE = (
    "payload_passthru_mode",
    "progressive_call_invocations",
    "progressive_call_results",
    "call_canceling",
    "call_timeout",
    "call_reroute",
    "registration_revocation",
    "subscription_revocation",
)
ABLE: dict[str, Any] = {
    role: {"features": dict.fromkeys(EVERY_FEATURE, True)}
    for role in ("publisher", "subscriber", "caller", "callee")
}
"""Roles of a client that can do everything."""

SIMPLE: dict[str, Any] = {role: {} for role in ABLE}
"""Roles of one that can do the least."""

ROLES = st.one_of(
    st.just(ABLE),
    st.just(SIMPLE),
    st.dictionaries(st.sampled_from(["caller", "callee", "broker", "x"]), VALUES, max_size=2),
)


def _value(name: str, hint: Any) -> st.SearchStrategy[Any]:
    """Return values of a field, chosen by its name where that says what they mean."""
    if name == "roles":
        return ROLES
    if hint is Payload:
        return PAYLOADS
    if isinstance(hint, type) and issubclass(hint, Details):
        return details(hint)
    if get_origin(hint) is list:
        usual = st.lists(IDS if name in {"exclude", "eligible"} else NAMES, max_size=3)
        return usual | st.just([1 if name in {"exclude", "eligible"} else "x"] * 5000)
    if get_origin(hint) in (Union, types.UnionType):
        members = [member for member in get_args(hint) if member is not type(None)]
        return st.none() | _value(name, members[0])
    if hint is str:
        return URIS if name in {"topic", "procedure", "realm", "error", "reason"} else NAMES
    if get_origin(hint) is Annotated and get_args(hint)[0] is int:
        return IDS
    if get_origin(hint) is Literal or hint is bool:
        return of_type(hint)
    return of_type(hint)


def details(kind: type[Details]) -> st.SearchStrategy[Any]:
    """Return options or details, most of them at their default."""
    hints = get_type_hints(kind, include_extras=True)
    chosen = {field.name: _value(field.name, hints[field.name]) for field in msgspec.structs.fields(kind)}
    return st.fixed_dictionaries({}, optional=chosen).map(lambda values: kind(**values))


def weighted(*choices: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Return values of one of several strategies, each as often as its weight says.

    `one_of` leaves out a strategy that is named twice.
    """
    lots = [strategy for weight, strategy in choices for _ in range(weight)]
    return st.sampled_from(range(len(lots))).flatmap(lots.__getitem__)


def message_of(kind: type[Message], **chosen: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return messages of a kind, with `chosen` in place of the usual values of some fields."""
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(
        kind,
        **{
            name: chosen[name] if name in chosen else _value(name, hints[name])
            for name in kind.__struct_fields__
        },
    )


SMALL = st.integers(1, 6)
SENSIBLE: st.SearchStrategy[Message] = weighted(
    (3, message_of(Register, procedure=st.sampled_from(USUAL))),
    (2, message_of(Register, procedure=st.sampled_from(PATTERNS))),
    (3, message_of(Subscribe, topic=st.sampled_from(USUAL + EVENTS))),
    (3, message_of(Subscribe, topic=st.sampled_from(PATTERNS))),
    (6, message_of(Publish, topic=st.sampled_from(USUAL))),
    (8, message_of(Call, procedure=st.sampled_from(USUAL), request=SMALL)),
    (3, message_of(Call, procedure=st.sampled_from(META), payload=PLAIN)),
    (1, message_of(Cancel, request=SMALL)),
    (1, message_of(Unsubscribe, subscription=SMALL)),
    (1, message_of(Unregister, registration=SMALL)),
)
"""What a client says that means well."""

ANSWERS: st.SearchStrategy[Any] = st.one_of(
    message_of(Yield),
    message_of(Yield, payload=st.just(PlainPayload([True]))),
    message_of(Error, request_type=st.just(68), error=st.sampled_from([UNAVAILABLE, "com.e"])),
)
"""What a callee answers; which invocation is said later."""

ANYTHING: st.SearchStrategy[Message] = st.one_of([message_of(kind) for kind in MESSAGE_TYPES])
"""What nobody should say, too."""
