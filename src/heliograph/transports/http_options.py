"""What a configuration says about HTTP on a port, whatever answers there."""

from typing import Annotated

from msgspec import Meta, Struct, field

from heliograph.transports.forwarded import UNIX, network_of

_KIB = 1024


class HttpGuardOptions(Struct, frozen=True, kw_only=True):
    """Limits of every HTTP request on a port before a path service sees it, and what is believed of it.

    Attributes:
        max_header_bytes: bytes of request line, headers and trailers; more is answered 431
        header_timeout_s: seconds from the opened connection, or a further request's first byte, to the headers' end
        client_timeout_s: seconds a keep-alive connection may be idle between two requests [`client_timeout`]
        allowed_hosts: further names, without ports, by which clients may ask for `metrics`, `*` inside one is a
            wildcard; where there are any, `self` in `allowed_origins` covers no pages of other names. Names and
            addresses of loopback, the machine's own name, and other IP addresses on connections that do not come in on
            loopback need not be named
        trusted_proxies: IP addresses and networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` count,
            `unix` for whoever connects by a Unix socket; the client is the last address in it that is not among these
    """

    max_header_bytes: Annotated[int, Meta(ge=_KIB, le=1024 * _KIB)] = 64 * _KIB
    header_timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0
    client_timeout_s: Annotated[float, Meta(ge=1, le=86400)] = field(name="client_timeout", default=60.0)
    allowed_hosts: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    trusted_proxies: tuple[Annotated[str, Meta(min_length=1)], ...] = ()

    def __post_init__(self) -> None:
        for host in self.allowed_hosts:
            if ":" in host or "/" in host:
                raise ValueError(
                    f'`allowed_hosts` takes names such as "router.lan", without port, not "{host}"'
                )
        for entry in self.trusted_proxies:
            if entry != UNIX:
                _require_network(entry)


def _require_network(entry: str) -> None:
    try:
        network = network_of(entry)
    except ValueError as error:
        raise ValueError(
            f"`trusted_proxies` takes IP addresses, networks such as 10.0.0.0/24, and `{UNIX}`: {error}"
        ) from error
    if network.prefixlen == 0:
        raise ValueError(
            f"`trusted_proxies` with {entry} would let every client say who it is: name the proxies"
        )
