"""Options of the path services of a `web` transport.

A path service is told by its `type`. Field names here carry their units; where Crossbar.io spells a key
otherwise, the configuration file uses Crossbar.io's spelling (given in brackets below).
"""

from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from heliograph.auth.options import Secret, SecretFile
from heliograph.transports.origins import DEFAULT_ORIGINS, AllowedOrigins

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE

MAX_BRIDGE_BODY_BYTES = MEBIBYTE
"""Hard limit of a publisher's or caller's request body."""

NonEmpty = Annotated[str, Meta(min_length=1)]
Seconds = Annotated[float, Meta(gt=0, le=86400)]


class BridgeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What publishers and callers accept alike.

    Attributes:
        body_limit_bytes: largest request body [`post_body_limit`], 0 to 1,048,576 bytes. 0, which means "no
            limit" to Crossbar.io, means the hard limit of 1 MiB here. Default 65,536.
        allowed_origins: origins of web pages that may send requests, such as `https://example.org`; `self` is
            the origin the request itself was sent to, `*` is any. Requests without an `Origin` header do not
            come from a page of another origin and are always allowed. Default: `self`.
        token: what a request must carry as `Authorization: Bearer <token>`, else it is answered with 401: 16 to 512 of
            the characters of a token (RFC 6750). `"${NAME}"` takes it from an environment variable,
            `{"file": "path"}` from a file. null, the default, asks for nothing: who reaches the path has the role.
        debug: accepted for Crossbar.io's sake; has no effect.
    """

    body_limit_bytes: Annotated[int, Meta(ge=0, le=MAX_BRIDGE_BODY_BYTES)] = msgspec.field(
        name="post_body_limit", default=64 * KIBIBYTE
    )
    allowed_origins: AllowedOrigins = DEFAULT_ORIGINS
    token: Secret | SecretFile | None = None
    debug: bool = False

    def __post_init__(self) -> None:
        if self.body_limit_bytes == 0:
            force_setattr(self, "body_limit_bytes", MAX_BRIDGE_BODY_BYTES)

    def __repr__(self) -> str:
        # Never the token.
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name != "token")
        return f"{type(self).__name__}({', '.join(shown)})"


class PublisherLimits(BridgeLimits, frozen=True, kw_only=True):
    """What a publisher accepts (`options` of the path).

    Attributes:
        body_limit_bytes: largest request body [`post_body_limit`], 0 to 1,048,576 bytes. 0, which means "no
            limit" to Crossbar.io, means the hard limit of 1 MiB here. Default 65,536.
        events_limit: events one body may hold, 1 to 50,000. Default 1,000.
        allowed_origins: origins of web pages that may send requests, such as `https://example.org`; `self` is
            the origin the request itself was sent to, `*` is any. Requests without an `Origin` header do not
            come from a page of another origin and are always allowed. Default: `self`.
        token: what a request must carry as `Authorization: Bearer <token>`, else it is answered with 401: 16 to 512 of
            the characters of a token (RFC 6750). `"${NAME}"` takes it from an environment variable,
            `{"file": "path"}` from a file. null, the default, asks for nothing: who reaches the path has the role.
        debug: accepted for Crossbar.io's sake; has no effect.
    """

    events_limit: Annotated[int, Meta(ge=1, le=50_000)] = 1000


class CallerLimits(BridgeLimits, frozen=True, kw_only=True):
    """What a caller accepts (`options` of the path).

    Attributes:
        body_limit_bytes: largest request body [`post_body_limit`], as a publisher's. Default 65,536.
        allowed_origins: origins of web pages that may send requests, as a publisher's. Default: `self`.
        token: what a request must carry, as a publisher's. Default: null.
        debug: accepted for Crossbar.io's sake; has no effect.
        timeout_s: seconds a called procedure may take before the caller gets an error. Default 30.
    """

    timeout_s: Seconds = 30.0


class PublisherOptions(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="publisher"):
    """`publisher`: publishes an event for each HTTP POST.

    Attributes:
        id: name of the path in logs; a number is given when absent.
        realm: realm the event is published in.
        role: role whose permissions apply.
        options: limits.
    """

    realm: NonEmpty
    role: NonEmpty
    options: PublisherLimits = PublisherLimits()
    id: NonEmpty | None = None


class CallerOptions(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="caller"):
    """`caller`: calls a procedure for each HTTP POST and answers with its result.

    Attributes:
        id: name of the path in logs; a number is given when absent.
        realm: realm the procedure is called in.
        role: role whose permissions apply.
        options: limits.
    """

    realm: NonEmpty
    role: NonEmpty
    options: CallerLimits = CallerLimits()
    id: NonEmpty | None = None


class WsgiOptions(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="wsgi"):
    """`wsgi`: a WSGI application (Django, Flask) in processes of its own.

    Attributes:
        id: name of the path in logs; a number is given when absent.
        module: Python module that holds the application, such as `project.wsgi`.
        object: name of the application in that module, such as `application`.
        minthreads: accepted for Crossbar.io's sake; has no effect, threads start when they are needed.
        maxthreads: requests one process works on at once, 1 to 512. Default 20.
        processes: processes that serve the application, 1 to 64. Default 1.
        body_limit_bytes: largest request body in bytes; more is answered with 413. Default 64 MiB.
        spool_limit_bytes: bytes of request bodies on disk at any one time, all requests together; more is
            answered with 503. Default 512 MiB.
        queue_limit: requests that may wait for a free thread; more are answered with 503. Default 256.
        timeout_s: seconds a request may wait for a thread, and seconds the application may then take before
            its response begins (503 and 504). Default 60.
        client_timeout_s: seconds a client may stand still while it sends its body or takes the response.
            Default 60.
    """

    module: NonEmpty
    object: NonEmpty
    minthreads: Annotated[int, Meta(ge=0)] = 0
    maxthreads: Annotated[int, Meta(ge=1, le=512)] = 20
    processes: Annotated[int, Meta(ge=1, le=64)] = 1
    body_limit_bytes: Annotated[int, Meta(ge=0)] = 64 * MEBIBYTE
    spool_limit_bytes: Annotated[int, Meta(ge=0)] = 512 * MEBIBYTE
    queue_limit: Annotated[int, Meta(ge=0)] = 256
    timeout_s: Seconds = 60.0
    client_timeout_s: Seconds = 60.0
    id: NonEmpty | None = None


class StaticFileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How static files are served (`options` of the path).

    Attributes:
        enable_directory_listing: whether a directory without a default file is answered with a list of what
            it holds. Default false.
        mime_types: content type for each file name extension, such as `{".md": "text/markdown"}`; comes before
            the built-in table.
        cache_timeout_s: seconds browsers may keep a file [`cache_timeout`]; null sends no caching header.
            Default 43,200 (12 hours).
        default_file: file served for a directory, such as `index.html`. Default: none.
        serve_dotfiles: whether files and directories whose names begin with a dot are served and listed. Where this
            is off they are not there, except for `.well-known` at the root of a site (RFC 8615). Default false.
    """

    enable_directory_listing: bool = False
    mime_types: dict[NonEmpty, NonEmpty] = msgspec.field(default_factory=dict)
    cache_timeout_s: Annotated[int, Meta(ge=0)] | None = msgspec.field(name="cache_timeout", default=43200)
    default_file: NonEmpty | None = None
    serve_dotfiles: bool = False


class StaticOptions(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="static"):
    """`static`: the files below a directory; either `directory`, or `package` and `resource`.

    Attributes:
        id: name of the path in logs; a number is given when absent.
        directory: directory, relative to the node's directory.
        package: installed Python package that holds the directory.
        resource: the directory's path in that package.
        options: how the files are served.
    """

    directory: NonEmpty | None = None
    package: NonEmpty | None = None
    resource: NonEmpty | None = None
    options: StaticFileOptions = StaticFileOptions()
    id: NonEmpty | None = None

    def __post_init__(self) -> None:
        in_package = self.package is not None and self.resource is not None
        half_a_package = (self.package is None) != (self.resource is None)
        if half_a_package or in_package == (self.directory is not None):
            raise ValueError("static needs either `directory`, or `package` together with `resource`")


class MetricsOptions(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="metrics"):
    """`metrics`: the node's counters as Prometheus text.

    Attributes:
        id: name of the path in logs; a number is given when absent.
    """

    id: NonEmpty | None = None


PathService = PublisherOptions | CallerOptions | WsgiOptions | StaticOptions | MetricsOptions
"""Options of any path service, told apart by `type`."""
