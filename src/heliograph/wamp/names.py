"""Names in configurations, checked where they are read."""

from typing import Annotated

from msgspec import Meta

# A realm's name travels as a loose WAMP URI: no white space, no "#".
RealmName = Annotated[str, Meta(pattern=r"^[^\s#]+\Z", description="text without white space and #")]
RoleName = Annotated[str, Meta(pattern=r"^\S+\Z", description="text without white space")]
ProcedureUri = Annotated[
    str,
    Meta(
        pattern=r"^[^\s.#]+(\.[^\s.#]+)*\Z",
        description="a URI without empty components, white space and #",
    ),
]
