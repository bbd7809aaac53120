from __future__ import annotations

import ipaddress
import socket

import pytest

from heliograph.agent.errors import AddressError, IdentityError
from heliograph.agent.identity import (
    check_client,
    client_from_host_name,
    plain_address,
    read_address_towards,
    read_host_name,
)


@pytest.mark.parametrize(
    ("host_name", "client"),
    [
        ("web-1", "web-1"),
        ("Web_1.Example.ORG", "web_1-example-org"),
        ("Überwachung", "berwachung"),
        ("dbé2", "db-2"),
        ("a" * 80, "a" * 64),
        ("a" * 63 + ".example", "a" * 63),
        ("İstanbul", "i-stanbul"),  # lower() makes two characters of the first
    ],
)
def test_the_host_name_gives_the_client_name(host_name: str, client: str) -> None:
    assert client_from_host_name(host_name) == client
    assert check_client(client) == client


@pytest.mark.parametrize("host_name", ["", "...", "主机", "---"])
def test_a_host_name_of_which_nothing_is_left_says_how_to_set_a_client(host_name: str) -> None:
    with pytest.raises(IdentityError, match="--client NAME or HELIOGRAPH_CLIENT"):
        client_from_host_name(host_name)


@pytest.mark.parametrize("client", ["a", "web-1", "_", "0" * 64])
def test_a_valid_client_name_is_taken_as_it_is(client: str) -> None:
    assert check_client(client) == client


@pytest.mark.parametrize("client", ["", "Web", "a.b", "a b", "a\n", "é", "a" * 65, "#"])
def test_an_invalid_client_name_is_refused_with_what_is_allowed(client: str) -> None:
    with pytest.raises(IdentityError, match="use 1 to 64 of a-z"):
        check_client(client)


def test_a_host_name_that_is_no_utf_8_can_still_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "web\udcff" + "x" * 300)
    name = read_host_name()
    assert name.startswith("web\N{REPLACEMENT CHARACTER}x")
    assert len(name) == 255
    name.encode()


def test_the_address_towards_this_machine_itself_is_loopback() -> None:
    assert read_address_towards("127.0.0.1", 8080) == "127.0.0.1"


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python knows no IPv6")
def test_the_address_may_be_an_ipv6_one() -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(("::1", 8080))
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert ipaddress.ip_address(read_address_towards("::1", 8080)) == ipaddress.ip_address("::1")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".example", "256.256.256.256"])
def test_a_host_that_cannot_be_resolved_is_told(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def offline(name: str, *args: object, **kwargs: object) -> object:
        if name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(name, *args, **kwargs)  # type: ignore[arg-type] # passed on as they came

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with pytest.raises(AddressError, match="cannot resolve"):
        read_address_towards(host, 8080)


def test_when_the_first_address_has_no_route_the_next_one_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    # Class E, which no route leads to, before loopback.
    candidates = [
        (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("255.255.255.255", 8080)),
        (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", 8080)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: candidates)
    assert read_address_towards("router.example", 8080) == "127.0.0.1"
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: candidates[:1])
    with pytest.raises(AddressError, match=r"no way towards router\.example"):
        read_address_towards("router.example", 8080)


@pytest.mark.parametrize(
    ("address", "plain"),
    [("fe80::1%eth0", "fe80::1"), ("192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::1")],
)
def test_the_zone_of_a_link_local_address_stays_at_home(address: str, plain: str) -> None:
    assert plain_address(address) == plain
