"""What a configuration says about realms, roles and their static permissions."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Match = Literal["exact", "prefix", "wildcard"]

# A realm's name travels as a loose WAMP URI: no white space, no "#".
RealmName = Annotated[str, Meta(pattern=r"^[^\s#]+\Z", description="text without white space and #")]
RoleName = Annotated[str, Meta(pattern=r"^\S+\Z", description="text without white space")]
# Like Crossbar.io's ids, so that a file moves between the two.
ItemId = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]{2,63}\Z",
        description="a letter and 2 to 63 more of a-z, 0-9 and _",
    ),
]


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


class PermissionRule(Struct, frozen=True, kw_only=True):
    """One static rule of a role; the most specific rule for a URI decides, in the order of Crossbar.io.

    Attributes:
        uri: the URI, prefix or wildcard pattern; without `match` a star writes a pattern: `*`, `com.foo.*`,
            `com.*.bar`
        match: how `uri` is compared; always explicit once the configuration is loaded
        allow: the actions allowed
    """

    uri: str
    match: Match = "exact"
    allow: AllowedActions = AllowedActions()


class RoleOptions(Struct, frozen=True, kw_only=True):
    """A role of a realm: what its sessions may do.

    Attributes:
        name: the role's name; `anonymous` is what sessions without authentication get
        id: a name for logs
        permissions: the rules; what no rule covers is denied
        allow_by_default: allow what no rule covers instead of denying it
    """

    name: RoleName
    id: ItemId | None = None
    permissions: list[PermissionRule] = []
    allow_by_default: bool = field(name="allow-by-default", default=False)


class RealmOptions(Struct, frozen=True, kw_only=True):
    """A realm: a routing space of its own, nothing crosses from one to another.

    Attributes:
        name: the name clients join
        id: a name for logs
        roles: the roles its sessions can have
    """

    name: RealmName
    id: ItemId | None = None
    roles: list[RoleOptions] = []
