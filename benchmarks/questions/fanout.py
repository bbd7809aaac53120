"""One event to many subscribers: what a delivery costs the server, and how many there are in a second."""

import argparse

from benchmarks import tables
from benchmarks.figures import Cases, Measurement, Result
from benchmarks.peers.peer import Server
from benchmarks.runs import load, rounds

HELP = "one event to many subscribers"
IN_FLIGHT = (1, 64)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--subscribers", type=int, default=500, help="default: %(default)s")
    parser.add_argument("--payload-bytes", type=int, default=250, help="default: %(default)s")


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round."""

    def cases(_name: str, server: Server) -> Cases:
        return {f"{window} in flight": case(server, arguments, in_flight=window) for window in IN_FLIGHT}

    return rounds(arguments, "fanout", cases)


def case(server: Server, arguments: argparse.Namespace, **options: object) -> Measurement:
    """Return the figures of one fan-out."""
    measured = load(
        server,
        "fanout",
        subscribers=arguments.subscribers,
        payload=arguments.payload_bytes,
        seconds=arguments.seconds,
        **options,
    )
    received = measured["received"]
    return {
        **measured,
        "deliveries_per_s": received / measured["seconds"],
        "server_us_per_delivery": measured["server_cpu_s"] / received * 1e6,
    }


COLUMNS = (
    ("deliveries/s", "deliveries_per_s", ",.0f"),
    ("server CPU µs/delivery", "server_us_per_delivery", ".2f"),
    *tables.LATENCY,
    *tables.LOAD,
)


def table(result: Result) -> str:
    """Return the figures as a table, with Heliograph's ratio to each peer."""
    return tables.comparison(result, "Case", COLUMNS, ("deliveries_per_s", "server_us_per_delivery"))
