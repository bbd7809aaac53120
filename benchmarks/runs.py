"""Rounds: every peer in turn, several times, and the medians of what came out."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.building import program
from benchmarks.peers import PEERS, Server

Measurement = dict[str, float]


def load(server: Server, arguments: Sequence[object]) -> Measurement:
    """Run the load generator against `server` and return what it measured, with the server's own CPU seconds."""
    command = [str(program("load")), *(str(argument) for argument in arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the load generator could not connect; its message is above")
        before = server.cpu_s()
        process.stdin.write("go\n")
        process.stdin.flush()
        measurement: Measurement = json.loads(process.stdout.readline())
        # Taken while the connections are still open: closing them is no part of the question.
        measurement["server_cpu_s"] = server.cpu_s() - before
        measurement["server_rss_mib"] = server.rss_mib()
    return measurement


def rounds(
    names: Sequence[str], count: int, measure: Callable[[Server], dict[str, Measurement]]
) -> dict[str, dict[str, Measurement]]:
    """Return peer → case → medians, after `count` rounds in each of which every peer has its turn.

    Args:
        names: the peers; one that is absent is left out with a line that says why.
        count: rounds.
        measure: asked with a running server, returns case → measurement.
    """
    collected: dict[str, list[dict[str, Measurement]]] = {}
    for number in range(1, count + 1):
        for name in names:
            absent = PEERS[name].absent()
            if absent is not None:
                if number == 1:
                    print(f"{PEERS[name].title}: {absent}", file=sys.stderr)
                continue
            print(f"round {number} of {count}: {PEERS[name].title}", file=sys.stderr)
            with PEERS[name].run() as server:
                collected.setdefault(name, []).append(measure(server))
    return {name: _medians(results) for name, results in collected.items()}


def _medians(results: Sequence[dict[str, Measurement]]) -> dict[str, Measurement]:
    return {
        case: {key: statistics.median(result[case][key] for result in results) for key in results[0][case]}
        for case in results[0]
    }


def ratio(ours: float, theirs: float) -> str:
    """Return how many times `theirs` goes into `ours`."""
    return f"{ours / theirs:.2f} x" if theirs else "-"


def markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
