"""Which pages may talk to the router."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.transports.origins import OriginCheck, is_loopback_address

SELF = ["self"]
# Allowed origins, the page's origin, the Host it asked, whether it came in on loopback, and whether it may.
TABLE = [
    ("no browser", SELF, None, "evil.example", True, True),
    ("no browser, nothing allowed", [], None, "x", False, True),
    ("the same origin", SELF, "http://127.0.0.1:8080", "127.0.0.1:8080", True, True),
    ("by name", SELF, "http://localhost:8080", "localhost:8080", True, True),
    ("by a name below localhost", SELF, "http://app.localhost:8080", "app.localhost:8080", True, True),
    ("by IPv6", SELF, "http://[::1]:8080", "[::1]:8080", True, True),
    ("in capitals", SELF, "HTTP://LOCALHOST:8080", "LocalHost:8080", True, True),
    ("the default port", SELF, "http://fleet.example", "fleet.example", False, True),
    ("the default port, told", SELF, "http://fleet.example", "fleet.example:80", False, True),
    ("behind TLS", SELF, "https://fleet.example", "fleet.example", False, True),
    ("another port", SELF, "http://127.0.0.1:8081", "127.0.0.1:8080", True, False),
    ("another name of the same machine", SELF, "http://localhost:8080", "127.0.0.1:8080", True, False),
    ("another host", SELF, "http://evil.example", "127.0.0.1:8080", True, False),
    ("a longer host", SELF, "http://fleet.example.evil.example", "fleet.example", False, False),
    ("a name that was made to lead here", SELF, "http://evil.example:8080", "evil.example:8080", True, False),
    ("one that begins as we do", SELF, "http://localhost.evil.example", "localhost.evil.example", True, False),
    ("one that begins as an address", SELF, "http://127.0.0.1.evil.example", "127.0.0.1.evil.example", True, False),
    ("the null origin", SELF, "null", "127.0.0.1:8080", True, False),
    ("no origin at all", SELF, "", "127.0.0.1:8080", True, False),
    ("a port that is none", SELF, "http://localhost:99999", "localhost:99999", True, False),
    ("no host", SELF, "http://localhost", "", True, False),
    ("a named origin", ["https://a.example"], "https://a.example", "x", False, True),
    ("another scheme", ["https://a.example"], "http://a.example", "x", False, False),
    ("another port of it", ["https://a.example"], "https://a.example:444", "x", False, False),
    ("a wildcard", ["https://*.example"], "https://a.b.example", "x", False, True),
    ("its own domain", ["https://*.a.example"], "https://a.example", "x", False, False),
    ("a wildcard port", ["http://localhost:*"], "http://localhost:3000", "x", True, True),
    ("a wildcard is not two origins", ["https://*.a.example"], "https://b,https://x.a.example", "x", False, False),
    ("a dot is a dot", ["https://a.example"], "https://axexample", "x", False, False),
    ("any", ["*"], "http://evil.example", "127.0.0.1:8080", True, True),
    ("any but null", ["*"], "null", "127.0.0.1:8080", True, False),
    ("self beside others", ["https://a.example", "self"], "http://localhost", "localhost", True, True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("allowed", "origin", "host", "is_loopback", "may"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_an_origin(allowed: list[str], origin: str | None, host: str, is_loopback: bool, may: bool) -> None:
    assert OriginCheck(allowed).allows(origin, host=host, is_loopback=is_loopback) is may


@pytest.mark.parametrize(
    ("allowed", "origin", "may"),
    [
        (SELF, "https://fleet.example", True),
        (SELF, "http://fleet.example", False),
        (["http://fleet.example"], "http://fleet.example", True),
        (["*"], "http://fleet.example", True),
    ],
)
def test_a_page_that_came_without_tls_is_not_the_same_origin(
    allowed: list[str], origin: str, may: bool
) -> None:
    """Who is on the way can make such a page say anything."""
    check = OriginCheck(allowed)
    assert check.allows(origin, host="fleet.example", is_loopback=False, is_encrypted=True) is may
    assert check.allows(origin, host="fleet.example", is_loopback=False, is_encrypted=False)


@pytest.mark.parametrize(("allowed", "may"), [(["*"], True), (SELF, False), (["https://a.example"], False)])
def test_null_may_only_when_any_may_and_null_is_allowed(allowed: list[str], may: bool) -> None:
    assert OriginCheck(allowed, allow_null=True).allows("null", host="x", is_loopback=True) is may


@pytest.mark.parametrize(
    ("address", "is_loopback"),
    [
        (("127.0.0.1", 80), True),
        (("127.8.9.1", 80), True),
        (("::1", 80, 0, 0), True),
        (("::ffff:127.0.0.1", 80, 0, 0), True),
        (("fe80::1%eth0", 80, 0, 0), False),
        (("192.0.2.1", 80), False),
        (("localhost", 80), False),
        ("/run/socket", False),
        ("", False),
        (None, False),
        ((), False),
    ],
)
def test_loopback_addresses(address: object, is_loopback: bool) -> None:
    assert is_loopback_address(address) is is_loopback


@given(st.text("ab*/", min_size=1, max_size=8), st.text("ab/", max_size=12))
def test_a_wildcard_is_any_text_without_a_slash(pattern: str, origin: str) -> None:
    naive = "[^/]*".join(re.escape(part) for part in pattern.split("*"))
    may = pattern == "*" or re.fullmatch(naive, origin) is not None
    assert OriginCheck([pattern]).allows(origin, host="x", is_loopback=False) is may


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("https://*.example.com:*", "https://" + "a.example.com:" * 4000 + "/"),
        ("https://*.*.*.example.com", "https://" + "a." * 30_000),
    ],
)
def test_an_origin_as_long_as_headers_may_be_is_judged_at_once(pattern: str, origin: str) -> None:
    began = time.thread_time()
    assert not OriginCheck([pattern]).allows(origin, host="x", is_loopback=False)
    assert time.thread_time() - began < 1.0
