"""What the URLs of `connect` mean."""

import pytest

from heliograph.client import connect
from heliograph.client.address import Address, read_address

ADDRESSES = {
    "ws://example.com/ws": Address("ws://example.com/ws", True, False, "example.com", 80, None, "ws://example.com/ws"),
    "wss://example.com": Address("wss://example.com", True, True, "example.com", 443, None, "wss://example.com"),
    "ws://[::1]:8080/a?ticket=1": Address("ws://[::1]:8080/a", True, False, "::1", 8080, None, "ws://[::1]:8080/a?ticket=1"),
    "rs://10.0.0.1:9000": Address("rs://10.0.0.1:9000", False, False, "10.0.0.1", 9000, None, ""),
    "rss://example.com:9000/": Address("rss://example.com:9000/", False, True, "example.com", 9000, None, ""),
    "unix:/run/router.sock": Address("unix:/run/router.sock", False, False, "", 0, "/run/router.sock", ""),
    "rs+unix:///run/router.sock": Address("rs+unix:///run/router.sock", False, False, "", 0, "/run/router.sock", ""),
    "unix:router.sock": Address("unix:router.sock", False, False, "", 0, "router.sock", ""),
}  # fmt: skip


@pytest.mark.parametrize("url", ADDRESSES)
def test_a_url_names_a_transport_and_a_place(url: str) -> None:
    assert read_address(url) == ADDRESSES[url]


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://example.com", "is for a Publisher.*ws://"),
        ("example.com:8080", "looks like"),
        ("ws:///ws", "looks like"),
        ("", "looks like"),
        ("ws://example.com/#here", "fragment"),
        ("ws://joe:secret@example.com", "user or password"),
        ("ws://example.com:http/ws", "Port could not be cast"),
        ("rs://example.com", "no port"),
        ("rs://example.com:9000/ws", "path"),
        ("rs://example.com:9000?a=b", "path"),
        ("rss://example.com:70000", "Port out of range"),
        ("unix:", "no Unix socket"),
        ("rs+unix://", "no Unix socket"),
    ],
)
def test_a_url_that_means_nothing_is_told_when_connecting(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        connect(url)
    assert "secret" not in str(caught.value)
