"""Pages of other origins: files from Crossbar.io let them all in where they name none."""

from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath

from msgspec import Struct

from heliograph.config.exposure import TRANSPORTS, services_of
from heliograph.config.problems import Path, Problem, inside, warning
from heliograph.http.options import StaticOptions, WsgiOptions
from heliograph.transports.options import LongPollPathOptions, WebSocketServiceOptions

_CROSSBARS_DIRECTORY = ".crossbar"


def find_missing_origins(
    file: object, found: Sequence[tuple[Path, Struct]], *, node_directory: FilePath
) -> Iterator[Problem]:
    """Warn of WAMP endpoints that name no origins where pages of other origins are likely to come.

    That is where the port itself serves no page, and another port of the node does, or the file was written for
    Crossbar.io. Where pages are served on the same port, the default is what they need.

    Arguments:
        file: the whole as plain values, as it was written
        found: the structs that could be read, with their paths
        node_directory: tells whether the file is one of Crossbar.io
    """
    ports = [list(services_of(path, item)) for path, item in found if isinstance(item, TRANSPORTS)]
    pageless = [services for services in ports if not _serve_pages(services)]
    is_crossbars = node_directory.name == _CROSSBARS_DIRECTORY or inside(file, "version") != 2
    if not is_crossbars and len(pageless) == len(ports):
        return
    for services in pageless:
        for path, service in services:
            options = inside(file, *path, "options")
            is_named = isinstance(options, dict) and "allowed_origins" in options
            if isinstance(service, WebSocketServiceOptions | LongPollPathOptions) and not is_named:
                yield warning(
                    (*path, "options", "allowed_origins"),
                    "is missing, and this port serves no page: pages of other hosts and ports may not connect, while "
                    "Crossbar.io lets them all in. Name the origins of your pages, such as "
                    '["https://example.org"], or write ["self"] if there are none',
                )


def _serve_pages(services: Sequence[tuple[Path, object]]) -> bool:
    return any(isinstance(service, StaticOptions | WsgiOptions) for _, service in services)
