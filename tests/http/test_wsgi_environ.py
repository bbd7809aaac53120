"""What a WSGI application may believe about its client."""

from typing import Any

import pytest

from heliograph.http.wsgi_environ import wsgi_environ


def environ(body_bytes: int | None = None, **changes: Any) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": ("192.0.2.7", 5000),
        "server": ("198.51.100.1", 8080),
    }
    return wsgi_environ({**scope, **changes}, body_bytes)


@pytest.mark.parametrize(
    ("root_path", "raw_path", "script_name", "path_info"),
    [
        ("", b"/", "", "/"),
        ("", b"/a/b", "", "/a/b"),
        ("", b"//a//b/", "", "//a//b/"),
        ("/app", b"/app", "/app", ""),
        ("/app", b"/app/", "/app", "/"),
        ("/app", b"/app/app", "/app", "/app"),
        ("/app", b"/%61pp/x", "/app", "/x"),
        ("", b"/a%20b%2Fc%3Fd", "", "/a b/c?d"),
        ("", b"/gr%C3%BC%C3%9Fe", "", "/gr\xc3\xbc\xc3\x9fe"),
        ("", b"/%FF", "", "/\xff"),
        ("", b"/100%", "", "/100%"),
    ],
)
def test_the_path_is_split_at_the_mount_point_and_each_character_is_a_byte(
    root_path: str, raw_path: bytes, script_name: str, path_info: str
) -> None:
    made = environ(root_path=root_path, raw_path=raw_path)
    assert (made["SCRIPT_NAME"], made["PATH_INFO"]) == (script_name, path_info)


def test_a_path_without_its_raw_form_is_encoded() -> None:
    assert environ(path="/grüße", raw_path=None)["PATH_INFO"] == "/gr\xc3\xbc\xc3\x9fe"


def test_the_query_and_the_raw_target_are_as_sent() -> None:
    made = environ(raw_path=b"/a%20b", query_string=b"x=%C3%BC&y=\xff")
    assert made["QUERY_STRING"] == "x=%C3%BC&y=\xff"
    assert made["RAW_URI"] == made["REQUEST_URI"] == "/a%20b?x=%C3%BC&y=\xff"


@pytest.mark.parametrize(
    ("client", "address", "port"),
    [
        (("192.0.2.7", 5000), "192.0.2.7", "5000"),
        (("2001:db8::7", 5000), "2001:db8::7", "5000"),
        (("::ffff:192.0.2.7", 5000), "192.0.2.7", "5000"),
        (None, "", None),
    ],
)
def test_the_address_is_the_clients(client: Any, address: str, port: str | None) -> None:
    made = environ(client=client)
    assert (made["REMOTE_ADDR"], made.get("REMOTE_PORT")) == (address, port)


@pytest.mark.parametrize(
    ("server", "scheme", "expected"),
    [
        (("198.51.100.1", 8080), "http", ("198.51.100.1", "8080", None)),
        (("198.51.100.1", 8443), "https", ("198.51.100.1", "8443", "on")),
        (("/run/web.sock", None), "http", ("localhost", "80", None)),
        (None, "https", ("localhost", "443", "on")),
    ],
)
def test_the_servers_name_is_one_a_url_can_have(server: Any, scheme: str, expected: Any) -> None:
    made = environ(server=server, scheme=scheme)
    assert (made["SERVER_NAME"], made["SERVER_PORT"], made.get("HTTPS")) == expected
    assert made["wsgi.url_scheme"] == scheme


def test_headers_become_keys_and_repeated_ones_are_joined() -> None:
    made = environ(
        headers=[
            (b"host", b"example.org"),
            (b"accept", b"text/html"),
            (b"accept", b"*/*"),
            (b"cookie", b"a=1"),
            (b"cookie", b"b=2"),
            (b"x-odd", b"caf\xe9"),
            (b"content-type", b"text/plain"),
        ]
    )
    assert made["HTTP_HOST"] == "example.org"
    assert made["HTTP_ACCEPT"] == "text/html,*/*"
    assert made["HTTP_COOKIE"] == "a=1; b=2"
    assert made["HTTP_X_ODD"] == "caf\xe9"
    assert made["CONTENT_TYPE"] == "text/plain"
    assert "HTTP_CONTENT_TYPE" not in made


@pytest.mark.parametrize(
    "name",
    [
        b"connection",
        b"keep-alive",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
        b"proxy",
        b"proxy-authorization",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-real-ip",
        b"x-heliograph-environ",
        b"x-heliograph-token",
        b"script_name",
        b"x_forwarded_for",
        b"remote_addr",
        b"x_custom",
    ],
)
def test_what_anybody_could_forge_or_is_for_the_connection_only_is_dropped(name: bytes) -> None:
    made = environ(headers=[(name, b"forged"), (b"x-custom", b"kept")])
    assert "forged" not in made.values()
    assert made["HTTP_X_CUSTOM"] == "kept"


def test_headers_named_by_connection_are_dropped_but_not_those_that_identify() -> None:
    made = environ(
        headers=[
            (b"connection", b"close, X-Hop, Host, Authorization"),
            (b"x-hop", b"1"),
            (b"host", b"example.org"),
            (b"authorization", b"Basic x"),
        ]
    )
    assert "HTTP_X_HOP" not in made
    assert made["HTTP_HOST"] == "example.org"
    assert made["HTTP_AUTHORIZATION"] == "Basic x"


@pytest.mark.parametrize(("body_bytes", "length"), [(None, None), (0, "0"), (12, "12")])
def test_the_length_is_that_of_the_body_received(body_bytes: int | None, length: str | None) -> None:
    made = environ(body_bytes, headers=[(b"content-length", b"999")])
    assert made.get("CONTENT_LENGTH") == length
