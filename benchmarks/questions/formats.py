"""The same fan-out where the router has more to do: another format, or TLS."""

import argparse
import sys

from benchmarks import tables
from benchmarks.building import has_tls
from benchmarks.figures import Cases, Result
from benchmarks.peers import PEERS
from benchmarks.peers.peer import Server, Wants
from benchmarks.questions import fanout
from benchmarks.runs import rounds

HELP = "fan-out from JSON to CBOR and MessagePack subscribers, and over TLS"
WINDOW = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    fanout.add_arguments(parser)


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round; the plain case is one of them."""

    has_secure = has_tls()
    if not has_secure:
        print("TLS is left out: OpenSSL's headers are missing (Debian: libssl-dev)", file=sys.stderr)

    def cases(name: str, server: Server) -> Cases:
        figures = {"plain": fanout.case(server, arguments, in_flight=WINDOW)}
        for form in ("cbor", "msgpack") if name != "floor" else ():
            figures[f"JSON → {form}"] = fanout.case(
                server, arguments, in_flight=WINDOW, dialect=f"wamp-{form}", publisher_dialect="wamp-json"
            )
        if has_secure:
            # At once, and not in a pass of its own: its ratio to the plain case is taken within the round.
            with PEERS[name].run(Wants(tls=True)) as secure:
                figures["TLS"] = fanout.case(secure, arguments, in_flight=WINDOW)
        return figures

    return rounds(arguments, "formats", cases)


def table(result: Result) -> str:
    """Return the figures as a table."""
    return tables.comparison(result, "Case", fanout.COLUMNS, ("deliveries_per_s", "server_us_per_delivery"))
