"""The same fan-out where the router has more to do: another format, or TLS."""

import argparse
import sys

from benchmarks.building import has_tls
from benchmarks.peers.peer import Server, Wants
from benchmarks.questions import fanout
from benchmarks.runs import Measurement, Result, comparison, rounds

HELP = "fan-out from JSON to CBOR and MessagePack subscribers, and over TLS"
WINDOW = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    fanout.add_arguments(parser)


def measure(arguments: argparse.Namespace) -> Result:
    """Return peer → case → medians; the plain case is measured in the same rounds."""

    def plain(name: str, server: Server) -> dict[str, Measurement]:
        cases = {"plain": fanout.case(server, arguments, in_flight=WINDOW)}
        for form in ("cbor", "msgpack") if name != "floor" else ():
            cases[f"JSON → {form}"] = fanout.case(
                server, arguments, in_flight=WINDOW, dialect=f"wamp-{form}", publisher_dialect="wamp-json"
            )
        return cases

    def tls(_name: str, server: Server) -> dict[str, Measurement]:
        return {"TLS": fanout.case(server, arguments, in_flight=WINDOW)}

    result = rounds(arguments, "formats", plain)
    if has_tls():
        for name, cases in rounds(arguments, "formats", tls, Wants(tls=True)).items():
            result.setdefault(name, {}).update(cases)
    else:
        print("TLS is left out: OpenSSL's headers are missing (Debian: libssl-dev)", file=sys.stderr)
    return result


def table(result: Result) -> str:
    """Return the figures as a table."""
    return comparison(result, "Case", fanout.COLUMNS, ("deliveries_per_s", "server_us_per_delivery"))
