"""Who a session is, once that is established."""

from msgspec import Struct


class Principal(Struct, frozen=True):
    """An identity, as WELCOME tells it.

    Attributes:
        authid: the name.
        authrole: the role whose permissions count.
        authmethod: the method by which it was established.
        authprovider: what vouched for it.
    """

    authid: str
    authrole: str
    authmethod: str
    authprovider: str

    @property
    def is_authenticated(self) -> bool:
        """Whether the authid was proven, not chosen or drawn."""
        return self.authmethod != "anonymous"
