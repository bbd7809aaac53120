"""The messages of WAMP v2 (specification, "Messages"), one struct each.

The docstring of a message is its shape on the wire. A field named `payload` stands for the two optional elements
Arguments|list and ArgumentsKw|dict. Keys of options and details that are not listed here are ignored, as the
specification asks; a listed key of the wrong type is a protocol violation.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from heliograph.wamp import codes
from heliograph.wamp.ids import MAX_ID, Id
from heliograph.wamp.payload import EMPTY, Payload
from heliograph.wamp.uris import Match

Invoke = Literal["single", "roundrobin", "random", "first", "last"]
"""Which of several callees is asked (specification, "Shared Registration")."""

PayloadAlgorithm = Annotated[str, Meta(pattern=r"^(null|cryptobox|mqtt|xbr|x_[a-z0-9_]+)\Z")]
"""How a payload is packed in the older form of payload passthru; names of one's own begin with `x_`."""


class Details(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A dictionary of options or details; absent keys have their default."""


class Message(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Any WAMP message."""


class HelloDetails(Details, frozen=True):
    """`roles` maps each role the client has to its features, `{"features": {"<name>": true}}`."""

    roles: dict[str, Any] = {}
    agent: str | None = None
    authmethods: list[str] | None = None
    authid: str | None = None
    authrole: str | None = None
    authextra: dict[str, Any] | None = None


class Hello(Message, frozen=True, tag=codes.HELLO):
    """[HELLO, Realm|uri, Details|dict]"""

    realm: str
    details: HelloDetails


class WelcomeDetails(Details, frozen=True):
    """What the session has become."""

    roles: dict[str, Any] = {}
    agent: str | None = None
    realm: str | None = None
    authid: str | None = None
    authrole: str | None = None
    authmethod: str | None = None
    authprovider: str | None = None
    authextra: dict[str, Any] | None = None


class Welcome(Message, frozen=True, tag=codes.WELCOME):
    """[WELCOME, Session|id, Details|dict]"""

    session: Id
    details: WelcomeDetails


class PassthruOptions(Details, frozen=True):
    """How a payload that only the two ends can read is packed.

    "Payload Passthru Mode" of the specification: the payload is one binary argument. `enc_*` is its older form, which
    Autobahn and Crossbar.io still speak: the binary stands bare in the place of the argument list.
    """

    ppt_scheme: str | None = None
    ppt_serializer: str | None = None
    ppt_cipher: str | None = None
    ppt_keyid: str | None = None
    enc_algo: PayloadAlgorithm | None = None
    enc_key: str | None = None
    enc_serializer: str | None = None


class CloseDetails(Details, frozen=True):
    """Why a session ends, for people."""

    message: str | None = None


class Abort(Message, frozen=True, tag=codes.ABORT):
    """[ABORT, Details|dict, Reason|uri, Arguments|list, ArgumentsKw|dict]"""

    details: CloseDetails
    reason: str
    payload: Payload = EMPTY


class Challenge(Message, frozen=True, tag=codes.CHALLENGE):
    """[CHALLENGE, AuthMethod|string, Extra|dict]"""

    method: str
    extra: dict[str, Any]


class Authenticate(Message, frozen=True, tag=codes.AUTHENTICATE):
    """[AUTHENTICATE, Signature|string, Extra|dict]"""

    signature: str
    extra: dict[str, Any]

    def __repr__(self) -> str:
        # A ticket is the secret itself.
        return "Authenticate(…)"


class Goodbye(Message, frozen=True, tag=codes.GOODBYE):
    """[GOODBYE, Details|dict, Reason|uri]"""

    details: CloseDetails
    reason: str


class Error(Message, frozen=True, tag=codes.ERROR):
    """[ERROR, REQUEST.Type|int, REQUEST.Request|id, Details|dict, Error|uri, Arguments|list, ArgumentsKw|dict]"""

    request_type: Annotated[int, Meta(ge=0, le=MAX_ID)]
    request: Id
    details: dict[str, Any]
    error: str
    payload: Payload = EMPTY


class PublishOptions(PassthruOptions, frozen=True):
    """Options of PUBLISH; the lists name sessions, authids and authroles that shall or shall not receive."""

    acknowledge: bool = False
    exclude_me: bool = True
    disclose_me: bool = False
    retain: bool = False
    exclude: list[Id] | None = None
    exclude_authid: list[str] | None = None
    exclude_authrole: list[str] | None = None
    eligible: list[Id] | None = None
    eligible_authid: list[str] | None = None
    eligible_authrole: list[str] | None = None


PLAIN_PUBLISH = PublishOptions()
"""The options of most publications, apart from `acknowledge`; the broker need not look at this very object."""


class Publish(Message, frozen=True, tag=codes.PUBLISH):
    """[PUBLISH, Request|id, Options|dict, Topic|uri, Arguments|list, ArgumentsKw|dict]"""

    request: Id
    options: PublishOptions
    topic: str
    payload: Payload = EMPTY


class Published(Message, frozen=True, tag=codes.PUBLISHED):
    """[PUBLISHED, PUBLISH.Request|id, Publication|id]"""

    request: Id
    publication: Id


class SubscribeOptions(Details, frozen=True):
    """Options of SUBSCRIBE."""

    match: Match = "exact"
    get_retained: bool = False


class Subscribe(Message, frozen=True, tag=codes.SUBSCRIBE):
    """[SUBSCRIBE, Request|id, Options|dict, Topic|uri]"""

    request: Id
    options: SubscribeOptions
    topic: str


class Subscribed(Message, frozen=True, tag=codes.SUBSCRIBED):
    """[SUBSCRIBED, SUBSCRIBE.Request|id, Subscription|id]"""

    request: Id
    subscription: Id


class Unsubscribe(Message, frozen=True, tag=codes.UNSUBSCRIBE):
    """[UNSUBSCRIBE, Request|id, SUBSCRIBED.Subscription|id]"""

    request: Id
    subscription: Id


class UnsubscribedDetails(Details, frozen=True):
    """Which subscription the router took away, and why (revocation)."""

    subscription: int | None = None
    reason: str | None = None


class Unsubscribed(Message, frozen=True, tag=codes.UNSUBSCRIBED):
    """[UNSUBSCRIBED, UNSUBSCRIBE.Request|id] or, revoked, [UNSUBSCRIBED, 0, Details|dict]"""

    request: int
    details: UnsubscribedDetails | None = None


class EventDetails(PassthruOptions, frozen=True):
    """Details of EVENT."""

    topic: str | None = None
    publisher: Id | None = None
    publisher_authid: str | None = None
    publisher_authrole: str | None = None
    trustlevel: int | None = None
    retained: bool | None = None


PLAIN_EVENT = EventDetails()
"""The details of most events. A format may tell them by this very object, and spare looking for what they lack."""


class Event(Message, frozen=True, tag=codes.EVENT):
    """[EVENT, SUBSCRIBED.Subscription|id, PUBLISHED.Publication|id, Details|dict, Arguments|list, ArgumentsKw|dict]"""

    subscription: Id
    publication: Id
    details: EventDetails
    payload: Payload = EMPTY


class CallOptions(PassthruOptions, frozen=True):
    """Options of CALL; `timeout` is in milliseconds, 0 means none."""

    timeout: Annotated[int, Meta(ge=0)] = 0
    receive_progress: bool = False
    progress: bool = False
    disclose_me: bool = False


class Call(Message, frozen=True, tag=codes.CALL):
    """[CALL, Request|id, Options|dict, Procedure|uri, Arguments|list, ArgumentsKw|dict]"""

    request: Id
    options: CallOptions
    procedure: str
    payload: Payload = EMPTY


class CancelOptions(Details, frozen=True):
    """Options of CANCEL."""

    mode: Literal["skip", "kill", "killnowait"] | None = None


class Cancel(Message, frozen=True, tag=codes.CANCEL):
    """[CANCEL, CALL.Request|id, Options|dict]"""

    request: Id
    options: CancelOptions


class ResultDetails(PassthruOptions, frozen=True):
    """Details of RESULT."""

    progress: bool | None = None


class Result(Message, frozen=True, tag=codes.RESULT):
    """[RESULT, CALL.Request|id, Details|dict, Arguments|list, ArgumentsKw|dict]"""

    request: Id
    details: ResultDetails
    payload: Payload = EMPTY


class RegisterOptions(Details, frozen=True):
    """Options of REGISTER; `concurrency` and `force_reregister` are Crossbar.io's."""

    match: Match = "exact"
    invoke: Invoke = "single"
    concurrency: Annotated[int, Meta(ge=1)] | None = None
    disclose_caller: bool = False
    forward_timeout: bool = False
    force_reregister: bool = False


class Register(Message, frozen=True, tag=codes.REGISTER):
    """[REGISTER, Request|id, Options|dict, Procedure|uri]"""

    request: Id
    options: RegisterOptions
    procedure: str


class Registered(Message, frozen=True, tag=codes.REGISTERED):
    """[REGISTERED, REGISTER.Request|id, Registration|id]"""

    request: Id
    registration: Id


class Unregister(Message, frozen=True, tag=codes.UNREGISTER):
    """[UNREGISTER, Request|id, REGISTERED.Registration|id]"""

    request: Id
    registration: Id


class UnregisteredDetails(Details, frozen=True):
    """Which registration the router took away, and why (revocation)."""

    registration: int | None = None
    reason: str | None = None


class Unregistered(Message, frozen=True, tag=codes.UNREGISTERED):
    """[UNREGISTERED, UNREGISTER.Request|id] or, revoked, [UNREGISTERED, 0, Details|dict]"""

    request: int
    details: UnregisteredDetails | None = None


class InvocationDetails(PassthruOptions, frozen=True):
    """Details of INVOCATION; `timeout` is in milliseconds."""

    procedure: str | None = None
    caller: Id | None = None
    caller_authid: str | None = None
    caller_authrole: str | None = None
    trustlevel: int | None = None
    timeout: int | None = None
    receive_progress: bool | None = None
    progress: bool | None = None


class Invocation(Message, frozen=True, tag=codes.INVOCATION):
    """[INVOCATION, Request|id, REGISTERED.Registration|id, Details|dict, Arguments|list, ArgumentsKw|dict]"""

    request: Id
    registration: Id
    details: InvocationDetails
    payload: Payload = EMPTY


class InterruptOptions(Details, frozen=True):
    """Options of INTERRUPT."""

    mode: Literal["kill", "killnowait"] | None = None
    reason: str | None = None


class Interrupt(Message, frozen=True, tag=codes.INTERRUPT):
    """[INTERRUPT, INVOCATION.Request|id, Options|dict]"""

    request: Id
    options: InterruptOptions


class YieldOptions(PassthruOptions, frozen=True):
    """Options of YIELD."""

    progress: bool = False


class Yield(Message, frozen=True, tag=codes.YIELD):
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
