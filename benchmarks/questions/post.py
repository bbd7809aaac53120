"""One HTTP POST becomes one event, or many: how many a second, and what each costs the server."""

import argparse
import sys

from benchmarks import tables
from benchmarks.figures import Cases, Measurement, Result
from benchmarks.peers.peer import Server
from benchmarks.runs import load, rounds

HELP = "HTTP POSTs that become events"
BATCH_FORMS = {"array": "JSON array", "lines": "NDJSON"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--connections", type=int, default=32, help="default: %(default)s")
    # nchan numbers the messages of a second and a channel with 15 bits, and loses what comes after 32,768.
    parser.add_argument(
        "--topics", type=int, default=4, help="topics, with a subscriber each (default: %(default)s)"
    )
    parser.add_argument("--payload-bytes", type=int, default=50, help="default: %(default)s")
    parser.add_argument(
        "--batch", type=int, default=100, help="events in a body of many (default: %(default)s)"
    )


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round."""

    def cases(name: str, server: Server) -> Cases:
        figures = {"one event a body": _case(server, arguments)}
        if name == "heliograph":
            for form, title in BATCH_FORMS.items():
                if batched := _batched(server, arguments, form):
                    figures[f"{arguments.batch} events a body ({title})"] = batched
        return figures

    return rounds(arguments, "post", cases)


def _case(server: Server, arguments: argparse.Namespace, **options: object) -> Measurement:
    measured = load(
        server,
        "post",
        connections=arguments.connections,
        topics=arguments.topics,
        payload=arguments.payload_bytes,
        seconds=arguments.seconds,
        **options,
    )
    received = max(measured["received"], 1)
    return {
        **measured,
        "posts_per_s": measured["accepted"] / measured["seconds"],
        "events_per_s": measured["received"] / measured["seconds"],
        "server_us_per_event": measured["server_cpu_s"] / received * 1e6,
    }


def _batched(server: Server, arguments: argparse.Namespace, form: str) -> Measurement | None:
    figures = _case(server, arguments, batch=arguments.batch, batch_form=form)
    if not figures["refused"]:
        return figures
    status = figures["first_refusal"]
    print(
        f"post: bodies of many events ({BATCH_FORMS[form]}) are not there yet: HTTP {status:.0f}",
        file=sys.stderr,
    )
    return None


def table(result: Result) -> str:
    """Return the figures as a table, with Heliograph's ratio to each peer."""
    columns = (
        ("posts/s", "posts_per_s", ",.0f"),
        ("events/s", "events_per_s", ",.0f"),
        ("server CPU µs/event", "server_us_per_event", ".1f"),
        *tables.LATENCY,
        *tables.LOAD,
    )
    return tables.comparison(result, "Bridge", columns, ("events_per_s", "server_us_per_event"))
