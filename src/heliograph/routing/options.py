"""What a configuration says about realms, roles and their static permissions."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from heliograph.auth.options import AnonymousOptions, AuthOptions, BackoffOptions
from heliograph.wamp.names import ProcedureUri, RealmName, RoleName
from heliograph.wamp.uris import Match

# Like Crossbar.io's ids, so that a file moves between the two.
ItemId = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]{2,63}\Z",
        description="a letter and 2 to 63 more of a-z, 0-9 and _",
    ),
]


OutboxPolicy = Literal["disconnect", "drop-newest", "conflate"]
"""What happens when more waits for a receiver than it may hold."""


class AllowedActions(Struct, frozen=True, kw_only=True):
    """The actions a permission rule allows; what is not named is denied.

    Attributes:
        call: sessions may call procedures under these URIs
        register: sessions may register procedures under these URIs
        publish: sessions may publish to these topics
        subscribe: sessions may subscribe to these topics
    """

    call: bool = False
    register: bool = False
    publish: bool = False
    subscribe: bool = False


class Disclosure(Struct, frozen=True, kw_only=True):
    """Whose identity the router tells the other side, whether or not the session asks for it.

    Attributes:
        caller: a callee learns who calls
        publisher: a subscriber learns who publishes
    """

    caller: bool = False
    publisher: bool = False


class PermissionRule(Struct, frozen=True, kw_only=True):
    """One static rule of a role; the most specific rule for a URI decides, in the order of Crossbar.io.

    In `uri`, `{authid}` and `{authrole}` stand for the session's own. Where the authid was not authenticated, or
    holds a dot, `#` or white space, a rule with `{authid}` covers nothing.

    Attributes:
        uri: the URI, prefix or wildcard pattern; without `match` a star writes a pattern: `*`, `com.foo.*`,
            `com.*.bar`
        match: how `uri` is compared; always explicit once the configuration is loaded
        allow: the actions allowed
        disclose: identities the router discloses for these URIs
    """

    uri: str
    match: Match = "exact"
    allow: AllowedActions = AllowedActions()
    disclose: Disclosure = Disclosure()


class RoleOptions(Struct, frozen=True, kw_only=True):
    """A role of a realm: what its sessions may do.

    Attributes:
        name: the role's name; `anonymous` is what sessions without authentication get
        id: a name for logs
        permissions: the rules; what no rule covers is denied
        allow_by_default: allow what no rule covers instead of denying it
        authorizer: a procedure that decides, `(session details, uri, action, options)` to true, false or
            `{"allow": …, "cache": …, "disclose": …}`; it is asked instead of the rules, which then count for the
            session that implements it. For a callee of a pattern it is asked again for each procedure that is called,
            unless its answer may be remembered (`cache`)
        authorizer_timeout_s: seconds it may take; then the answer is no
        trustlevel: told to subscribers and callees of what sessions of this role send; none by default
        allow_disclose_me: whether the identity of a session is told when the session (`disclose_me`) or a callee
            (`disclose_caller`) asks for it; `disclose` of a rule or an authorizer counts in any case
        outbox_policy: what happens when more waits for a session than its transport's `outbox` allows; null leaves it
            to the transport
    """

    name: RoleName
    id: ItemId | None = None
    permissions: list[PermissionRule] = []
    allow_by_default: bool = field(name="allow-by-default", default=False)
    authorizer: ProcedureUri | None = None
    authorizer_timeout_s: Annotated[float, Meta(gt=0, le=300)] = 5.0
    trustlevel: Annotated[int, Meta(ge=0)] | None = None
    allow_disclose_me: bool = True
    outbox_policy: OutboxPolicy | None = None


class EventHistoryOptions(Struct, frozen=True, kw_only=True):
    """Events that are kept for `wamp.subscription.get_events`.

    Attributes:
        uri: the topic or pattern
        match: how it is compared
        limit: events kept; the oldest makes room
        limit_bytes: bytes of memory they may take together; the oldest make room
    """

    uri: str
    match: Match = "exact"
    limit: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    limit_bytes: Annotated[int, Meta(ge=1024, le=16 * 1024 * 1024 * 1024)] = 64 * 1024 * 1024


class CallQueueOptions(Struct, frozen=True, kw_only=True):
    """Calls that may wait while all callees work as much as their `concurrency` allows.

    Attributes:
        uri: the procedure or pattern
        match: how it is compared
        limit: calls that may wait for one registration; more are refused
    """

    uri: str
    match: Match = "exact"
    limit: Annotated[int, Meta(ge=1, le=1_000_000)] = 100


class StoreOptions(Struct, frozen=True, kw_only=True):
    """What a realm keeps, in memory.

    Attributes:
        type: where it is kept
        event_history: topics and patterns whose events are kept
        call_queue: procedures whose calls may wait for a free callee
    """

    type: Literal["memory"] = "memory"
    event_history: list[EventHistoryOptions] = field(name="event-history", default_factory=list)
    call_queue: list[CallQueueOptions] = field(name="call-queue", default_factory=list)


class RealmBehaviour(Struct, frozen=True, kw_only=True):
    """How a realm reads what it is sent.

    Attributes:
        uri_check: `loose`: components of URIs hold no white space, dot or `#`; `strict`: only `a-z`, `0-9` and `_`
        call_timeout_unit: what `CALL.Options.timeout` counts: milliseconds as the specification says, or seconds (`s`)
            as Crossbar.io and older Autobahn clients have it
        subscriptions_limit: subscriptions one session may have
        registrations_limit: procedures one session may have registered
        kept_calls_limit_bytes: payload of a session's calls that is kept while they wait for a free callee, or may
            have to be given to another one; what is above it cannot wait, and is not re-routed
    """

    uri_check: Literal["loose", "strict"] = "loose"
    call_timeout_unit: Literal["ms", "s"] = "ms"
    subscriptions_limit: Annotated[int, Meta(ge=1, le=10_000_000)] = 10_000
    registrations_limit: Annotated[int, Meta(ge=1, le=10_000_000)] = 10_000
    kept_calls_limit_bytes: Annotated[int, Meta(ge=1024, le=1024 * 1024 * 1024)] = 16 * 1024 * 1024


class SessionOptions(Struct, frozen=True, kw_only=True):
    """What counts for all sessions of one transport.

    Attributes:
        anonymous_role: the role of whoever does not authenticate, where there is no `auth`
        auth: the methods by which clients prove who they are; none lets everybody in without
        auth_backoff: when an address that fails to authenticate is refused for a while
        strict_ids: end sessions whose request ids do not count up from 1, one by one
        goodbye_timeout_s: seconds a session may take to answer GOODBYE; then its connection is closed
    """

    anonymous_role: RoleName = "anonymous"
    auth: AuthOptions | None = None
    auth_backoff: BackoffOptions = BackoffOptions()
    strict_ids: bool = False
    goodbye_timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 5.0

    @property
    def open_role(self) -> str | None:
        """The role that anybody gets; None where nobody gets one without being asked, or asked about."""
        if self.auth is None:
            return self.anonymous_role
        anonymous = self.auth.anonymous
        return anonymous.role if isinstance(anonymous, AnonymousOptions) else None


class RealmOptions(Struct, frozen=True, kw_only=True):
    """A realm: a routing space of its own, nothing crosses from one to another.

    Attributes:
        name: the name clients join
        id: a name for logs
        roles: the roles its sessions can have
        options: how it reads what it is sent
        store: what it keeps
    """

    name: RealmName
    id: ItemId | None = None
    roles: list[RoleOptions] = []
    options: RealmBehaviour = RealmBehaviour()
    store: StoreOptions = StoreOptions()
