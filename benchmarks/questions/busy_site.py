"""Events while a Django site on the same node serves views that compute, as fast as they are asked for."""

import argparse
import contextlib
import json
from collections.abc import Callable, Iterator

from benchmarks import tables
from benchmarks.figures import Cases, Measurement, Result, median
from benchmarks.peers.peer import Server, Wants
from benchmarks.runs import answer, generator, loading, rounds, tell

HELP = "event latency while Django on the same node computes"
IDLE, BUSY = "site idle", "site busy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--subscribers", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=100, help="events a second (default: %(default)s)")
    parser.add_argument("--payload-bytes", type=int, default=250, help="default: %(default)s")
    parser.add_argument("--visitors", type=int, default=4, help="requests under way (default: %(default)s)")
    parser.add_argument(
        "--stretches",
        type=int,
        default=3,
        help="of --seconds, idle and busy each, a round (default: %(default)s)",
    )


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round: medians of some stretches, in which the site is idle and busy by turns."""

    def cases(_name: str, server: Server) -> Cases:
        with _visits(server, arguments, 0.5) as first:
            first()  # it loads the site
        idle, busy = [], []
        for _ in range(arguments.stretches):
            with _events(server, arguments) as go:
                idle.append(go())
            # Whoever subscribes has done so before the site is busy, so that it is busy all the time.
            with (
                _events(server, arguments) as go,
                _visits(server, arguments, arguments.seconds + 0.5) as visits,
            ):
                busy.append(go() | {"views_per_s": visits()})
        return {IDLE: median(idle), BUSY: median(busy)}

    return rounds(arguments, "busy-site", cases, Wants(site=True))


def _events(
    server: Server, arguments: argparse.Namespace
) -> contextlib.AbstractContextManager[Callable[[], Measurement]]:
    return loading(
        server,
        "fanout",
        subscribers=arguments.subscribers,
        rate=arguments.rate,
        payload=arguments.payload_bytes,
        seconds=arguments.seconds,
    )


@contextlib.contextmanager
def _visits(server: Server, arguments: argparse.Namespace, seconds: float) -> Iterator[Callable[[], float]]:
    """Ask for views as fast as they come; what is yielded waits for the end and returns how many came a second."""
    with generator(
        server, "post", subscribers=0, connections=arguments.visitors, post_path="/burn", seconds=seconds
    ) as visitors:
        answer(visitors)
        tell(visitors, "go")

        def views_per_s() -> float:
            figures: Measurement = json.loads(answer(visitors))
            return figures["accepted"] / figures["seconds"]

        yield views_per_s


def table(result: Result) -> str:
    """Return the figures as a table, with Heliograph's ratio to each peer."""
    columns = (
        ("p50 ms", "p50_ms", ".2f"),
        ("p99 ms", "p99_ms", ".2f"),
        ("p99.9 ms", "p999_ms", ".2f"),
        ("views/s", "views_per_s", ".0f"),
        *tables.LOAD,
    )
    return tables.comparison(result, "Case", columns, ("p99_ms",))
