"""Static files over a real connection."""

import asyncio
import gzip
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.http import ServiceError
from heliograph.http.options import StaticFileOptions, StaticOptions
from heliograph.http.static import StaticService

Open = Callable[..., Awaitable[Any]]


@pytest.fixture
def site_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "project" / "static"
    (directory / "css").mkdir(parents=True)
    (directory / "hello.txt").write_bytes(b"0123456789")
    (directory / "css" / "site.css").write_text("body {}")
    (directory / "picture.svg").write_text("<svg/>")
    (directory / "autobahn.min.jgz").write_bytes(gzip.compress(b"var autobahn = {};"))
    (tmp_path / "project" / ".heliograph").mkdir()
    (tmp_path / "project" / "secret.txt").write_text("secret")
    return directory


@pytest.fixture
def open_static(serve: Any, site_directory: Path) -> Open:
    """Serve the site's directory at `/static`, with the given options."""

    async def start(*, mount: str = "/static", **options: Any) -> Any:
        node_directory = site_directory.parent / ".heliograph"
        described = StaticOptions(directory="../static", options=StaticFileOptions(**options))
        return await serve(StaticService(described, node_directory), mount=mount)

    return start


async def test_a_file_comes_with_type_length_validators_and_a_time_to_keep_it(open_static: Open) -> None:
    site = await open_static()
    reply = await site.get("/static/hello.txt")
    assert (reply.status, reply.body) == (200, b"0123456789")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["Content-Length"] == "10"
    assert reply.headers["Cache-Control"] == "public, max-age=43200"
    assert reply.headers["ETag"]
    assert reply.headers["Last-Modified"]


async def test_a_directory_mounted_at_the_root_serves_files_in_subdirectories(open_static: Open) -> None:
    site = await open_static(mount="")
    reply = await site.get("/css/site.css")
    assert (reply.status, reply.text) == (200, "body {}")


@pytest.mark.parametrize(
    ("cache_timeout_s", "header"), [(60, "public, max-age=60"), (0, "public, max-age=0"), (None, None)]
)
async def test_the_cache_header_follows_the_option(
    open_static: Open, cache_timeout_s: int | None, header: str | None
) -> None:
    site = await open_static(cache_timeout_s=cache_timeout_s)
    assert (await site.get("/static/hello.txt")).headers["Cache-Control"] == header


async def test_a_client_that_has_the_file_is_told_so(open_static: Open) -> None:
    site = await open_static()
    first = await site.get("/static/hello.txt")
    by_tag = await site.get("/static/hello.txt", If_None_Match=first.headers["ETag"])
    by_date = await site.get("/static/hello.txt", If_Modified_Since=first.headers["Last-Modified"])
    other_tag = await site.get("/static/hello.txt", If_None_Match='"another"')
    assert [by_tag.status, by_date.status, other_tag.status] == [304, 304, 200]
    assert by_tag.body == b""
    assert by_tag.headers["Cache-Control"] == "public, max-age=43200"


async def test_a_changed_file_has_another_tag(open_static: Open, site_directory: Path) -> None:
    site = await open_static()
    first = await site.get("/static/hello.txt")
    (site_directory / "hello.txt").write_text("something else")
    second = await site.get("/static/hello.txt", If_None_Match=first.headers["ETag"])
    assert (second.status, second.text) == (200, "something else")


@pytest.mark.parametrize(
    ("header", "status", "body"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=4-99", 206, b"456789"),
        ("bytes=10-", 416, b""),
        ("bytes=5-2", 200, b"0123456789"),
        ("bytes=-", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        ("bytes=" + "9" * 5000 + "-", 200, b"0123456789"),
        ("bytes=" + "0-0-" * 5000, 200, b"0123456789"),
    ],
)
async def test_a_range_is_served_and_one_that_is_none_ignored(
    open_static: Open, header: str, status: int, body: bytes
) -> None:
    site = await open_static()
    reply = await site.get("/static/hello.txt", Range=header)
    assert (reply.status, reply.body) == (status, body)


async def test_a_range_with_an_outdated_validator_gets_the_whole_file(open_static: Open) -> None:
    site = await open_static()
    reply = await site.get("/static/hello.txt", Range="bytes=2-4", If_Range='"old"')
    assert (reply.status, reply.body) == (200, b"0123456789")


async def test_the_tutorials_gzipped_javascript_says_that_it_is_gzipped(open_static: Open) -> None:
    site = await open_static()
    reply = await site.get("/static/autobahn.min.jgz")
    assert reply.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert reply.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(reply.body) == b"var autobahn = {};"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("picture.svg", "image/svg+xml"),
        ("module.mjs", "text/javascript; charset=utf-8"),
        ("code.wasm", "application/wasm"),
        ("release.tar.gz", "application/gzip"),
        ("unknown.qqq", "application/octet-stream"),
    ],
)
async def test_each_extension_has_the_type_browsers_want(
    open_static: Open, site_directory: Path, name: str, content_type: str
) -> None:
    (site_directory / name).write_bytes(b"x")
    site = await open_static()
    reply = await site.get(f"/static/{name}")
    assert reply.headers["Content-Type"] == content_type
    assert reply.headers["Content-Encoding"] is None


async def test_configured_types_come_first_with_or_without_the_dot(open_static: Open) -> None:
    site = await open_static(mime_types={".svg": "image/x-mine", "css": "text/x-style"})
    assert (await site.get("/static/picture.svg")).headers["Content-Type"] == "image/x-mine"
    assert (await site.get("/static/css/site.css")).headers["Content-Type"] == "text/x-style; charset=utf-8"


@pytest.mark.parametrize(
    "target",
    [
        "/static/../secret.txt",
        "/static/css/../../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/..%2fsecret.txt",
        "/static/%2e%2e%2fsecret.txt",
        "/static/css/..%2f..%2fsecret.txt",
        "/static/css/../hello.txt",
        "/static/..%5csecret.txt",
        "/static/hello.txt%00.png",
        "/static/link.txt",
        "/static/linked/secret.txt",
        "/static//hello.txt",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/static/hello.txt/",
        "/static/hello.txt/more",
        "/static/./hello.txt",
        "/static/missing.txt",
        "/static/pipe",
        "/static/" + "x" * 5000,
        "/static/" + "x/" * 5000,
    ],
)
async def test_what_is_not_a_file_of_the_directory_is_not_found(
    open_static: Open, site_directory: Path, target: str
) -> None:
    (site_directory / "link.txt").symlink_to(site_directory.parent / "secret.txt")
    (site_directory / "linked").symlink_to(site_directory.parent)
    os.mkfifo(site_directory / "pipe")
    site = await open_static(enable_directory_listing=True)
    reply = await site.get(target)
    assert reply.status == 404
    assert b"secret" not in reply.body


async def test_a_link_within_the_directory_is_followed(open_static: Open, site_directory: Path) -> None:
    (site_directory / "latest.txt").symlink_to("hello.txt")
    site = await open_static()
    assert (await site.get("/static/latest.txt")).body == b"0123456789"


async def test_names_with_spaces_and_foreign_letters_are_found(
    open_static: Open, site_directory: Path
) -> None:
    (site_directory / "grüße an alle.txt").write_text("hello")
    site = await open_static()
    assert (await site.get("/static/gr%C3%BC%C3%9Fe%20an%20alle.txt")).text == "hello"


@pytest.mark.xfail(os.geteuid() == 0, reason="the superuser may read every file", strict=True)
async def test_an_unreadable_file_is_forbidden(open_static: Open, site_directory: Path) -> None:
    (site_directory / "hello.txt").chmod(0)
    site = await open_static()
    assert (await site.get("/static/hello.txt")).status == 403


async def test_head_has_the_headers_of_get_and_no_body(open_static: Open) -> None:
    site = await open_static()
    reply = await site.request("HEAD", "/static/hello.txt")
    assert (reply.status, reply.body, reply.headers["Content-Length"]) == (200, b"", "10")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_told_what_is_allowed(open_static: Open, method: str) -> None:
    site = await open_static()
    reply = await site.request(method, "/static/hello.txt", body=b"x")
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")


async def test_a_directory_without_listing_or_default_file_is_not_found(open_static: Open) -> None:
    site = await open_static()
    assert [(await site.get(path)).status for path in ("/static", "/static/", "/static/css/")] == [404] * 3


async def test_a_directorys_default_file_is_served_below_its_trailing_slash(
    open_static: Open, site_directory: Path
) -> None:
    (site_directory / "index.html").write_text("<p>home")
    site = await open_static(default_file="index.html")
    bare = await site.get("/static?page=2")
    assert (bare.status, bare.headers["Location"]) == (302, "/static/?page=2")
    reply = await site.get("/static/")
    assert (reply.status, reply.text) == (200, "<p>home")
    assert (await site.get("/static/css/")).status == 404


async def test_a_redirect_never_leads_to_another_host(open_static: Open, site_directory: Path) -> None:
    (site_directory / "evil.example").mkdir()
    site = await open_static(mount="", enable_directory_listing=True)
    assert (await site.get("//evil.example")).status == 404
    assert (await site.get("/evil.example", Host="attacker.example")).headers["Location"] == "/evil.example/"


async def test_a_listing_shows_names_as_text_and_only_when_enabled(
    open_static: Open, site_directory: Path
) -> None:
    (site_directory / '<script>"a&b.txt').write_text("odd")
    site = await open_static(enable_directory_listing=True)
    page = (await site.get("/static/")).text
    assert "<script>" not in page
    assert "&lt;script&gt;&quot;a&amp;b.txt" in page
    assert 'href="./css/"' in page
    assert (await site.get("/static/%3Cscript%3E%22a%26b.txt")).text == "odd"
    assert (await site.get("/static/css")).headers["Location"] == "/static/css/"


async def test_files_of_an_installed_package_are_served(serve: Any, tmp_path: Path) -> None:
    options = StaticOptions(package="heliograph.http", resource=".")
    site = await serve(StaticService(options, tmp_path), mount="/source")
    assert (await site.get("/source/static.py")).status == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (StaticOptions(directory="nowhere"), "nowhere does not exist; create it"),
        (StaticOptions(directory="file.txt"), "file.txt is not a directory"),
        (StaticOptions(package="no_such_package", resource="x"), "no installed package 'no_such_package'"),
        (StaticOptions(package="no_such.package", resource="x"), "cannot be imported"),
        (StaticOptions(package="heliograph", resource="nothing"), "correct `package` and `resource`"),
    ],
)
def test_a_directory_that_is_none_is_an_error_at_start(
    tmp_path: Path, options: StaticOptions, message: str
) -> None:
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(ServiceError, match=message):
        StaticService(options, tmp_path)


async def test_a_directory_that_vanishes_leaves_not_found(open_static: Open, site_directory: Path) -> None:
    site = await open_static()
    await asyncio.to_thread(site_directory.rename, site_directory.parent / "moved")
    assert (await site.get("/static/hello.txt")).status == 404


HIDDEN = [
    *(".env", ".env.gz", ".git/config", "css/.htpasswd", ".hidden.css", "..."),
    *(".well-known/.secret", "css/.well-known/x"),
]
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plainly": lambda path: path,
    "with an escaped dot": lambda path: path.replace(".", "%2e"),
    "with all escaped": lambda path: "".join(f"%{ord(character):02X}" for character in path),
    "with a slash behind it": lambda path: path + "/",
    "with a query": lambda path: path + "?a=b",
    "with a backslash": lambda path: path.replace("/", "%5c"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("path", HIDDEN)
async def test_what_begins_with_a_dot_is_not_there_unless_asked_for(
    open_static: Open, site_directory: Path, path: str, spelling: str
) -> None:
    file = site_directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("secret")
    for mount in ("", "/static"):
        site = await open_static(mount=mount, enable_directory_listing=True)
        missing = await site.get(f"{mount}/nothing")
        reply = await site.get(f"{mount}/{SPELLINGS[spelling](path)}")
        assert (
            (reply.status, reply.text) == (missing.status, missing.text) == (404, "There is no such file\n")
        )
    asking = await open_static(serve_dotfiles=True)
    assert (await asking.get(f"/static/{path}")).text == "secret"


async def test_directories_that_begin_with_a_dot_are_not_listed(
    open_static: Open, site_directory: Path
) -> None:
    (site_directory / ".git").mkdir()
    (site_directory / ".env").write_text("secret")
    hiding = await open_static(enable_directory_listing=True)
    assert (await hiding.get("/static/.git")).status == (await hiding.get("/static/.git/")).status == 404
    page = (await hiding.get("/static/")).text
    assert "hello.txt" in page
    assert ".env" not in page
    assert ".git" not in page
    page = (
        await (await open_static(enable_directory_listing=True, serve_dotfiles=True)).get("/static/")
    ).text
    assert ".env" in page
    assert ".git" in page


async def test_what_is_well_known_is_served_at_the_root_of_a_site_only(
    open_static: Open, site_directory: Path
) -> None:
    challenge = site_directory / ".well-known" / "acme-challenge" / "token"
    challenge.parent.mkdir(parents=True)
    challenge.write_text("proof")
    assert (await (await open_static(mount="")).get("/.well-known/acme-challenge/token")).text == "proof"
    assert (await (await open_static()).get("/static/.well-known/acme-challenge/token")).status == 404


async def test_a_link_may_lead_to_what_begins_with_a_dot(open_static: Open, site_directory: Path) -> None:
    # So Kubernetes mounts a ConfigMap: it can be replaced in one step.
    (site_directory / "..2026_12_01").mkdir()
    (site_directory / "..2026_12_01" / "mounted.txt").write_text("new")
    (site_directory / "mounted.txt").symlink_to("..2026_12_01/mounted.txt")
    assert (await (await open_static()).get("/static/mounted.txt")).text == "new"
