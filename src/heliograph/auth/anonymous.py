"""`anonymous`: nobody is asked anything (specification, "Authentication")."""

from heliograph.auth.principal import Principal
from heliograph.wamp.ids import RandomId

METHOD = "anonymous"


def principal(role: str, random_id: RandomId) -> Principal:
    """Return a principal of `role` with a random authid."""
    return Principal(
        authid=f"anonymous-{random_id():x}", authrole=role, authmethod=METHOD, authprovider="static"
    )
