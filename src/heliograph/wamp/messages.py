"""The messages of WAMP v2 (specification, "Messages"), one struct each.

The docstring of a message is its shape on the wire. A field named `payload` stands for the two optional elements
Arguments|list and ArgumentsKw|dict. Keys of options and details that are not listed here are ignored, as the
specification asks; a listed key of the wrong type is a protocol violation.
"""

from typing import Any, Literal

from msgspec import Struct

from heliograph.wamp import codes
from heliograph.wamp.ids import Id
from heliograph.wamp.payload import EMPTY, Payload
from heliograph.wamp.uris import Match


class Details(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A dictionary of options or details; absent keys have their default."""


class Message(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Any WAMP message."""


class HelloDetails(Details):
    """`roles` maps each role the client has to its features, `{"features": {"<name>": true}}`."""

    roles: dict[str, Any] = {}
    agent: str | None = None
    authmethods: list[str] | None = None
    authid: str | None = None
    authrole: str | None = None
    authextra: dict[str, Any] | None = None


class Hello(Message, tag=codes.HELLO):
    """[HELLO, Realm|uri, Details|dict]"""

    realm: str
    details: HelloDetails


class WelcomeDetails(Details):
    """What the session has become."""

    roles: dict[str, Any] = {}
    agent: str | None = None
    realm: str | None = None
    authid: str | None = None
    authrole: str | None = None
    authmethod: str | None = None
    authprovider: str | None = None
    authextra: dict[str, Any] | None = None


class Welcome(Message, tag=codes.WELCOME):
    """[WELCOME, Session|id, Details|dict]"""

    session: Id
    details: WelcomeDetails


class CloseDetails(Details):
    """Why a session ends, for people."""

    message: str | None = None


class Abort(Message, tag=codes.ABORT):
    """[ABORT, Details|dict, Reason|uri, Arguments|list, ArgumentsKw|dict]"""

    details: CloseDetails
    reason: str
    payload: Payload = EMPTY


class Challenge(Message, tag=codes.CHALLENGE):
    """[CHALLENGE, AuthMethod|string, Extra|dict]"""

    method: str
    extra: dict[str, Any]


class Authenticate(Message, tag=codes.AUTHENTICATE):
    """[AUTHENTICATE, Signature|string, Extra|dict]"""

    signature: str
    extra: dict[str, Any]


class Goodbye(Message, tag=codes.GOODBYE):
    """[GOODBYE, Details|dict, Reason|uri]"""

    details: CloseDetails
    reason: str


class Error(Message, tag=codes.ERROR):
    """[ERROR, REQUEST.Type|int, REQUEST.Request|id, Details|dict, Error|uri, Arguments|list, ArgumentsKw|dict]"""

    request_type: int
    request: Id
    details: dict[str, Any]
    error: str
    payload: Payload = EMPTY


class PublishOptions(Details):
    """Options of PUBLISH."""

    acknowledge: bool = False
    exclude_me: bool = True


class Publish(Message, tag=codes.PUBLISH):
    """[PUBLISH, Request|id, Options|dict, Topic|uri, Arguments|list, ArgumentsKw|dict]"""

    request: Id
    options: PublishOptions
    topic: str
    payload: Payload = EMPTY


class Published(Message, tag=codes.PUBLISHED):
    """[PUBLISHED, PUBLISH.Request|id, Publication|id]"""

    request: Id
    publication: Id


class SubscribeOptions(Details):
    """Options of SUBSCRIBE."""

    match: Match = "exact"


class Subscribe(Message, tag=codes.SUBSCRIBE):
    """[SUBSCRIBE, Request|id, Options|dict, Topic|uri]"""

    request: Id
    options: SubscribeOptions
    topic: str


class Subscribed(Message, tag=codes.SUBSCRIBED):
    """[SUBSCRIBED, SUBSCRIBE.Request|id, Subscription|id]"""

    request: Id
    subscription: Id


class Unsubscribe(Message, tag=codes.UNSUBSCRIBE):
    """[UNSUBSCRIBE, Request|id, SUBSCRIBED.Subscription|id]"""

    request: Id
    subscription: Id


class UnsubscribedDetails(Details):
    """Which subscription the router took away, and why (revocation)."""

    subscription: int | None = None
    reason: str | None = None


class Unsubscribed(Message, tag=codes.UNSUBSCRIBED):
    """[UNSUBSCRIBED, UNSUBSCRIBE.Request|id] or, revoked, [UNSUBSCRIBED, 0, Details|dict]"""

    request: int
    details: UnsubscribedDetails | None = None


class EventDetails(Details):
    """Details of EVENT."""

    topic: str | None = None


class Event(Message, tag=codes.EVENT):
    """[EVENT, SUBSCRIBED.Subscription|id, PUBLISHED.Publication|id, Details|dict, Arguments|list, ArgumentsKw|dict]"""

    subscription: Id
    publication: Id
    details: EventDetails
    payload: Payload = EMPTY


class CallOptions(Details):
    """Options of CALL."""


class Call(Message, tag=codes.CALL):
    """[CALL, Request|id, Options|dict, Procedure|uri, Arguments|list, ArgumentsKw|dict]"""

    request: Id
    options: CallOptions
    procedure: str
    payload: Payload = EMPTY


class CancelOptions(Details):
    """Options of CANCEL."""

    mode: Literal["skip", "kill", "killnowait"] | None = None


class Cancel(Message, tag=codes.CANCEL):
    """[CANCEL, CALL.Request|id, Options|dict]"""

    request: Id
    options: CancelOptions


class ResultDetails(Details):
    """Details of RESULT."""


class Result(Message, tag=codes.RESULT):
    """[RESULT, CALL.Request|id, Details|dict, Arguments|list, ArgumentsKw|dict]"""

    request: Id
    details: ResultDetails
    payload: Payload = EMPTY


class RegisterOptions(Details):
    """Options of REGISTER."""

    match: Match = "exact"
    invoke: Literal["single", "roundrobin", "random", "first", "last"] = "single"


class Register(Message, tag=codes.REGISTER):
    """[REGISTER, Request|id, Options|dict, Procedure|uri]"""

    request: Id
    options: RegisterOptions
    procedure: str


class Registered(Message, tag=codes.REGISTERED):
    """[REGISTERED, REGISTER.Request|id, Registration|id]"""

    request: Id
    registration: Id


class Unregister(Message, tag=codes.UNREGISTER):
    """[UNREGISTER, Request|id, REGISTERED.Registration|id]"""

    request: Id
    registration: Id


class UnregisteredDetails(Details):
    """Which registration the router took away, and why (revocation)."""

    registration: int | None = None
    reason: str | None = None


class Unregistered(Message, tag=codes.UNREGISTERED):
    """[UNREGISTERED, UNREGISTER.Request|id] or, revoked, [UNREGISTERED, 0, Details|dict]"""

    request: int
    details: UnregisteredDetails | None = None


class InvocationDetails(Details):
    """Details of INVOCATION."""

    procedure: str | None = None


class Invocation(Message, tag=codes.INVOCATION):
    """[INVOCATION, Request|id, REGISTERED.Registration|id, Details|dict, Arguments|list, ArgumentsKw|dict]"""

    request: Id
    registration: Id
    details: InvocationDetails
    payload: Payload = EMPTY


class InterruptOptions(Details):
    """Options of INTERRUPT."""

    mode: Literal["kill", "killnowait"] | None = None


class Interrupt(Message, tag=codes.INTERRUPT):
    """[INTERRUPT, INVOCATION.Request|id, Options|dict]"""

    request: Id
    options: InterruptOptions


class YieldOptions(Details):
    """Options of YIELD."""


class Yield(Message, tag=codes.YIELD):
    """[YIELD, INVOCATION.Request|id, Options|dict, Arguments|list, ArgumentsKw|dict]"""

    request: Id
    options: YieldOptions
    payload: Payload = EMPTY


MESSAGE_TYPES: tuple[type[Message], ...] = (
    Hello, Welcome, Abort, Challenge, Authenticate, Goodbye, Error,
    Publish, Published, Subscribe, Subscribed, Unsubscribe, Unsubscribed, Event,
    Call, Cancel, Result, Register, Registered, Unregister, Unregistered, Invocation, Interrupt, Yield,
)  # fmt: skip


def code_of(message_type: type[Message]) -> int:
    """Return the code that stands first in every message of `message_type`."""
    code = message_type.__struct_config__.tag
    if not isinstance(code, int):
        raise TypeError(f"{message_type.__name__} has no message code")
    return code
