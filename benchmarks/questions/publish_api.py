"""What publishing one event costs synchronous code: how long the call takes, and what the caller computes for it."""

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import tables
from benchmarks.building import environment
from benchmarks.figures import Cases, Measurement, Result
from benchmarks.peers import channels
from benchmarks.peers.peer import Server
from benchmarks.runs import LoadFailed, answer, generator, rounds, tell

HELP = "publish() as synchronous code sees it"
APPLICATIONS = Path(channels.APPLICATIONS)
WAYS: dict[str, dict[str, tuple[str, ...]]] = {
    "heliograph": {
        "Publisher.publish()": ("publish_heliograph.py", "publisher"),
        "Publisher, pipelined": ("publish_heliograph.py", "pipelined"),
        "heliograph.django.publish()": ("publish_heliograph.py", "django"),
    },
    "crossbar": {
        "requests.post()": ("publish_crossbar.py", "post"),
        "requests.Session().post()": ("publish_crossbar.py", "session"),
    },
    "channels": {"async_to_sync(group_send)()": ("publish_channels.py",)},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    del parser


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round."""

    def cases(name: str, server: Server) -> Cases:
        figures = {}
        for title, way in WAYS[name].items():
            if measured := _case(name, server, title, way, arguments.seconds):
                figures[title] = measured
        return figures

    return rounds(arguments, "publish-api", cases)


def _case(name: str, server: Server, title: str, way: tuple[str, ...], seconds: float) -> Measurement | None:
    python = sys.executable if name == "heliograph" else str(environment(name))
    where = (
        str(channels.redis_port_of(server))
        if name == "channels"
        else f"http://127.0.0.1:{server.port}/notify"
    )
    script = [python, str(APPLICATIONS / way[0]), *way[1:], where, str(seconds)]
    with _listening(server) as received:
        finished = subprocess.run(script, capture_output=True, text=True, check=False)
        if finished.returncode != 0:
            raise LoadFailed(finished.stderr[-500:])
        figures: Measurement = json.loads(finished.stdout)
        if "absent" in figures:
            print(f"publish-api: {title} is not there yet: {figures['absent']}", file=sys.stderr)
            return None
        return {**figures, "lost": figures["sent"] - received(int(figures["sent"]))}


@contextlib.contextmanager
def _listening(server: Server) -> Iterator[Callable[[int], float]]:
    """Subscribe; what is yielded waits for so many events and returns how many came."""
    with generator(server, "listen") as process:
        answer(process)
        tell(process, "")

        def received(count: int) -> float:
            tell(process, str(count))
            return float(json.loads(answer(process))["received"])

        yield received


def table(result: Result) -> str:
    """Return the figures as a table; Heliograph's ratio is that of its acknowledged publish()."""
    columns = (
        ("mean µs", "mean_us", ",.0f"),
        ("p50 µs", "p50_us", ",.0f"),
        ("p99 µs", "p99_us", ",.0f"),
        ("caller's CPU µs", "caller_cpu_us", ",.0f"),
        ("events/s with the end", "calls_per_s", ",.0f"),
        ("lost", "lost", ",.0f"),
    )
    return tables.comparison(result, "Call", columns, ())
