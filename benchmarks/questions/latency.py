"""How old an event is when a subscriber has it, at a rate that nobody is at the limit with."""

import argparse

from benchmarks import tables
from benchmarks.figures import Cases, Result
from benchmarks.peers.peer import Server
from benchmarks.runs import load, rounds

HELP = "from the POST to the subscriber, at a fixed rate"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--rate", type=float, default=200, help="POSTs a second (default: %(default)s)")
    parser.add_argument("--subscribers", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--payload-bytes", type=int, default=250, help="default: %(default)s")


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round."""

    def cases(_name: str, server: Server) -> Cases:
        return {
            "": load(
                server,
                "post",
                connections=8,
                rate=arguments.rate,
                subscribers=arguments.subscribers,
                payload=arguments.payload_bytes,
                seconds=arguments.seconds,
            )
        }

    return rounds(arguments, "latency", cases)


def table(result: Result) -> str:
    """Return the figures as a table, with Heliograph's ratio to each peer."""
    columns = (
        ("p50 ms", "delivery_p50_ms", ".2f"),
        ("p99 ms", "delivery_p99_ms", ".2f"),
        ("p99.9 ms", "delivery_p999_ms", ".2f"),
        *tables.LOAD,
    )
    return tables.comparison(result, "POST → subscriber", columns, ("delivery_p50_ms", "delivery_p99_ms"))
