"""Events while a Django site on the same node serves views that compute, as fast as they are asked for."""

import argparse
import threading

from benchmarks.peers.peer import Server, Wants
from benchmarks.runs import LOAD_COLUMNS, Measurement, Result, comparison, loading, rounds

HELP = "event latency while Django on the same node computes"
IDLE, BUSY = "site idle", "site busy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--subscribers", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=100, help="events a second (default: %(default)s)")
    parser.add_argument("--payload-bytes", type=int, default=250, help="default: %(default)s")
    parser.add_argument("--visitors", type=int, default=4, help="requests under way (default: %(default)s)")


def measure(arguments: argparse.Namespace) -> Result:
    """Return peer → case → medians."""

    def cases(_name: str, server: Server) -> dict[str, Measurement]:
        _visit(server, arguments, 0.5)  # the first visit loads the site
        idle = _events(server, arguments)
        visitor = threading.Thread(target=_visit, args=(server, arguments, arguments.seconds + 0.5))
        visitor.start()
        busy = _events(server, arguments)
        visitor.join()
        return {IDLE: idle, BUSY: busy}

    return rounds(arguments, "busy-site", cases, Wants(site=True))


def _events(server: Server, arguments: argparse.Namespace) -> Measurement:
    with loading(
        server,
        "fanout",
        subscribers=arguments.subscribers,
        rate=arguments.rate,
        payload=arguments.payload_bytes,
        seconds=arguments.seconds,
    ) as go:
        return go()


def _visit(server: Server, arguments: argparse.Namespace, seconds: float) -> None:
    with loading(
        server, "post", subscribers=0, connections=arguments.visitors, post_path="/burn", seconds=seconds
    ) as go:
        go()


def table(result: Result) -> str:
    """Return the figures as a table, with Heliograph's ratio to each peer."""
    columns = (
        ("p50 ms", "p50_ms", ".2f"),
        ("p99 ms", "p99_ms", ".2f"),
        ("p99.9 ms", "p999_ms", ".2f"),
        *LOAD_COLUMNS,
    )
    return comparison(result, "Case", columns, ("p99_ms",))
