"""Connections that are opened, joined, subscribed and closed: how many a second, and what each costs the server.

Clients of one program send the same handshake, which a server may remember; so each server is also asked by clients of
which no two are alike.
"""

import argparse

from benchmarks import tables
from benchmarks.figures import Cases, Measurement, Result
from benchmarks.peers.peer import Server
from benchmarks.runs import load, rounds

HELP = "connect, join, subscribe, close"

ALIKE, DIFFERENT = "", "no two handshakes alike"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--concurrency", type=int, default=16, help="default: %(default)s")


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round."""

    def cases(_name: str, server: Server) -> Cases:
        return {case: _connections(server, arguments, case) for case in (ALIKE, DIFFERENT)}

    return rounds(arguments, "connect", cases)


def _connections(server: Server, arguments: argparse.Namespace, case: str) -> Measurement:
    measured = load(
        server,
        "connect",
        concurrency=arguments.concurrency,
        seconds=arguments.seconds,
        different=int(case == DIFFERENT),
    )
    received = measured["received"]
    return {
        **measured,
        "connections_per_s": received / measured["seconds"],
        "server_us_per_connection": measured["server_cpu_s"] / received * 1e6,
    }


def table(result: Result) -> str:
    """Return the figures as a table, with Heliograph's ratio to each peer."""
    columns = (
        ("connections/s", "connections_per_s", ",.0f"),
        ("server CPU µs/connection", "server_us_per_connection", ".0f"),
        *tables.LATENCY,
        *tables.LOAD,
    )
    return tables.comparison(result, "Server", columns, ("connections_per_s", "server_us_per_connection"))
