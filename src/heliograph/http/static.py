"""Static files: the files below one directory, over HTTP."""

import html
import importlib.util
import mimetypes
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from heliograph.http import ServiceError
from heliograph.http.options import StaticOptions

MAX_LISTED_ENTRIES = 10_000
"""Entries a directory listing shows at most."""

WELL_KNOWN = ".well-known"

# Types browsers insist on, whatever the machine's own table says or lacks.
_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jgz": "text/javascript",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".svgz": "image/svg+xml",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
_GZIPPED_SUFFIXES = frozenset({".jgz", ".svgz"})
_COMPRESSED_TYPES = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_BYTE_RANGE = re.compile(r"(\d{1,19})-(\d{0,19})|-\d{1,19}")


class StaticService(StaticFiles):
    """ASGI application that serves the files below one directory.

    Files outside the directory, by `..` or by symbolic link, do not exist for it.

    Args:
        options: the path's options.
        node_directory: directory that `options.directory` is relative to.

    Raises:
        ServiceError: there is no such directory.
    """

    def __init__(self, options: StaticOptions, node_directory: Path) -> None:
        directory = _served_directory(options, node_directory)
        super().__init__(directory=directory, check_dir=False)
        self.config_checked = True
        self._listing = options.options.enable_directory_listing
        self._default_file = options.options.default_file
        cache_timeout_s = options.options.cache_timeout_s
        self._serves_dotfiles = options.options.serve_dotfiles
        self._cache_control = None if cache_timeout_s is None else f"public, max-age={cache_timeout_s}"
        overrides = options.options.mime_types.items()
        self._media_types = _MEDIA_TYPES | {
            f".{suffix.lstrip('.')}".lower(): kind for suffix, kind in overrides
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; a WebSocket is refused."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        response = await self._answer(scope)
        await response(_with_valid_range(scope), receive, send)

    async def _answer(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            allow = {"Allow": "GET, HEAD"}
            return PlainTextResponse("Files answer GET and HEAD only\n", status_code=405, headers=allow)
        path = _relative_path(scope)
        if path is None or not self._may_name(path, scope):
            return _not_found()
        try:
            return await anyio.to_thread.run_sync(self._find, path, scope)
        except PermissionError:
            return PlainTextResponse("This file may not be read by the server\n", status_code=403)
        except OSError:
            # A name the file system does not take, such as one that is too long.
            return _not_found()

    def _may_name(self, path: str, scope: Scope) -> bool:
        """Return whether no part of a path is hidden by its name.

        `.git`, `.env`, `.htpasswd` get into a directory without anybody meaning to publish them. `.well-known` at a
        site's root is there for nothing else (RFC 8615). It is the asked name that counts: a link may lead to a hidden
        one, as those of mounted volumes do.
        """
        if self._serves_dotfiles:
            return True
        first, *others = path.split("/")
        is_well_known = first == WELL_KNOWN and not scope.get("root_path")
        return (is_visible(first) or is_well_known) and all(is_visible(name) for name in others)

    def _find(self, path: str, scope: Scope) -> Response:
        """Answer for the file or directory at `path`; runs in a thread, since it reads the disk."""
        full_path, found = self.lookup_path(path.rstrip("/"))
        if found is None:
            return _not_found()
        if stat.S_ISDIR(found.st_mode):
            return self._directory(path.rstrip("/"), full_path, scope)
        if not stat.S_ISREG(found.st_mode) or path.endswith("/"):
            return _not_found()
        return self._file(full_path, found, scope)

    def _directory(self, path: str, full_path: str, scope: Scope) -> Response:
        default_path, found = "", None
        if self._default_file is not None:
            default_path, found = self.lookup_path(os.path.join(path, self._default_file))
        has_default = found is not None and stat.S_ISREG(found.st_mode)
        if not has_default and not self._listing:
            return _not_found()
        if not scope["path"].endswith("/"):
            return _redirect_to_directory(scope)
        if found is not None and has_default:
            return self._file(default_path, found, scope)
        return _listing_page(full_path, scope["path"], shows_dotfiles=self._serves_dotfiles)

    def _file(self, full_path: str, found: os.stat_result, scope: Scope) -> Response:
        if not os.access(full_path, os.R_OK):
            raise PermissionError(full_path)
        response = self.file_response(full_path, found, scope)
        if response.status_code == 200:
            suffix = os.path.splitext(full_path)[1].lower()
            self._describe(response, full_path, suffix)
        if self._cache_control is not None:
            response.headers["cache-control"] = self._cache_control
        return response

    def _describe(self, response: Response, full_path: str, suffix: str) -> None:
        """Set type and encoding; a compressed archive is a file of its own type, not an encoded one."""
        media_type = self._media_types.get(suffix)
        if media_type is None:
            guessed, encoding = mimetypes.guess_type(full_path)
            fallback = "application/octet-stream"
            media_type = guessed or fallback
            if encoding is not None:
                media_type = _COMPRESSED_TYPES.get(encoding, fallback)
        if media_type.startswith("text/") and "charset=" not in media_type.lower():
            media_type += "; charset=utf-8"
        response.headers["content-type"] = media_type
        response.headers["x-content-type-options"] = "nosniff"
        if suffix in _GZIPPED_SUFFIXES:
            response.headers["content-encoding"] = "gzip"


def _served_directory(options: StaticOptions, node_directory: Path) -> Path:
    if options.directory is not None:
        directory = node_directory.resolve() / options.directory
        setting = "`directory`"
    else:
        package, resource = options.package or "", options.resource or ""
        directory = _package_directory(package) / resource
        setting = "`package` and `resource`"
    if not directory.is_dir():
        problem = "is not a directory" if directory.exists() else "does not exist"
        raise ServiceError(
            f"static: {os.path.abspath(directory)} {problem}; create it "
            f"(Django: manage.py collectstatic) or correct {setting}"
        )
    # Links are followed at each request, so that a deployment may switch the directory under a running node.
    return Path(os.path.abspath(directory))


def _package_directory(package: str) -> Path:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError) as error:
        raise ServiceError(f"static: the package {package!r} cannot be imported: {error}") from error
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError(
            f"static: there is no installed package {package!r}; install it or correct `package`"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _relative_path(scope: Scope) -> str | None:
    """Return the path below the mount point, or None when it names nothing below it.

    It is empty, or ends in a slash, for what the client takes to be a directory.
    """
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    relative = path.removeprefix("/")
    segments = relative.split("/")
    if segments[-1] == "":
        segments.pop()
    if "\0" in path or any(segment in ("", ".", "..") for segment in segments):
        return None
    if os.sep != "/" and any(os.sep in segment or ":" in segment for segment in segments):
        return None
    return relative


def _with_valid_range(scope: Scope) -> Scope:
    """Return the scope without a `Range` that is none, which RFC 9110 has servers ignore."""
    header = Headers(scope=scope).get("range")
    if header is None or _is_byte_range(header):
        return scope
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"range"]}


def _is_byte_range(header: str) -> bool:
    unit, _, ranges = header.partition("=")
    matches = [_BYTE_RANGE.fullmatch(part.strip()) for part in ranges.split(",")]
    if unit.strip().lower() != "bytes" or None in matches:
        return False
    bounds = [match.groups() for match in matches if match is not None]
    return all(not last or int(first) <= int(last) for first, last in bounds)


def _not_found() -> Response:
    return PlainTextResponse("There is no such file\n", status_code=404)


def _redirect_to_directory(scope: Scope) -> Response:
    # Only the path: a Location made of the Host header would send people where a forged one says.
    location = quote(scope["path"]) + "/"
    query = scope.get("query_string", b"")
    if query:
        location += "?" + quote(query.decode("latin-1"), safe="=&%;:@/?!$'()*+,~")
    return RedirectResponse(location, status_code=302)


def is_visible(name: str) -> bool:
    """Return whether a file is served and listed without being asked for in the configuration."""
    return not name.startswith(".")


def _listing_page(directory: str, path: str, *, shows_dotfiles: bool) -> Response:
    with os.scandir(directory) as entries:
        names: list[str] = []
        complete = True
        for entry in entries:
            if len(names) == MAX_LISTED_ENTRIES:
                complete = False
                break
            if not shows_dotfiles and not is_visible(entry.name):
                continue
            names.append(entry.name + ("/" if entry.is_dir() else ""))
    title = html.escape(f"Files in {path}")
    return HTMLResponse(
        f"<!DOCTYPE html>\n<html><head><meta charset='utf-8'><title>{title}</title></head>\n"
        f"<body><h1>{title}</h1>\n<ul>\n{''.join(_listing_lines(sorted(names)))}</ul>\n"
        f"{'' if complete else f'<p>and more than these {MAX_LISTED_ENTRIES}</p>'}</body></html>\n",
        headers={"cache-control": "no-cache", "x-content-type-options": "nosniff"},
    )


def _listing_lines(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        shown = os.fsencode(name).decode("utf-8", "replace")
        # "./" keeps a name with a colon from being read as a URL scheme.
        yield f'<li><a href="./{quote(os.fsencode(name))}">{html.escape(shown)}</a></li>\n'
