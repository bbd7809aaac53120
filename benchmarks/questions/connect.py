"""Connections that are opened, joined, subscribed and closed: how many a second, and what each costs the server."""

import argparse

from benchmarks import tables
from benchmarks.figures import Cases, Result
from benchmarks.peers.peer import Server
from benchmarks.runs import load, rounds

HELP = "connect, join, subscribe, close"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--concurrency", type=int, default=16, help="default: %(default)s")


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round."""

    def cases(_name: str, server: Server) -> Cases:
        measured = load(server, "connect", concurrency=arguments.concurrency, seconds=arguments.seconds)
        received = measured["received"]
        return {
            "": {
                **measured,
                "connections_per_s": received / measured["seconds"],
                "server_us_per_connection": measured["server_cpu_s"] / received * 1e6,
            }
        }

    return rounds(arguments, "connect", cases)


def table(result: Result) -> str:
    """Return the figures as a table, with Heliograph's ratio to each peer."""
    columns = (
        ("connections/s", "connections_per_s", ",.0f"),
        ("server CPU µs/connection", "server_us_per_connection", ".0f"),
        *tables.LATENCY,
        *tables.LOAD,
    )
    return tables.comparison(result, "Server", columns, ("connections_per_s", "server_us_per_connection"))
