"""What one client costs the others: the table of attacks, each against a router of its own."""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.attacks import ATTACKS, Attack
from benchmarks.crowd import crowd
from benchmarks.figures import Cases, Measurement, Result
from benchmarks.peers.peer import Server, Wants, await_websocket, free_port, running, scratch
from benchmarks.peers.wamp import configuration
from benchmarks.questions.slow_reader import MemoryWatch
from benchmarks.runs import rounds

HELP = "what others wait, and what the router weighs, while one client attacks"
SETTLE_S = 0.5
MIB = 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="attacks whose name contains this (default: all)"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="how large the attacks are (default: %(default)s)"
    )


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round."""

    def cases(_name: str, _server: Server) -> Cases:
        chosen = [attack for attack in ATTACKS if arguments.only in attack.name]
        return {attack.name: _measured(attack, arguments.scale) for attack in chosen}

    return rounds(arguments, "hostile", cases)


def _measured(attack: Attack, scale: float) -> Measurement:
    with _router(attack) as server, _bystander(server.port) as bystander:
        address = ("127.0.0.1", server.port)
        before = _resident_mib(server)
        with (
            MemoryWatch(partial(_resident_mib, server), every_s=0.02) as memory,
            crowd(address, scale) as attackers,
        ):
            attack.run(attackers)
            time.sleep(SETTLE_S)
        assert bystander.stdin is not None
        assert bystander.stdout is not None
        print(file=bystander.stdin, flush=True)
        longest_s, count = map(float, bystander.stdout.readline().split())
    held_mib = max(0.0, memory.most_mib - before)
    return {
        "others_wait_ms": 1000 * longest_s,
        "others_answers": count,
        "held_mib": held_mib,
        "limit_mib": attack.limit_bytes / MIB,
        "held_over_limit": held_mib * MIB / attack.limit_bytes,
    }


def _document(attack: Attack, port: int) -> dict[str, Any]:
    document = configuration(port, Wants())
    worker = document["workers"][0]
    worker["realms"][0].update(attack.realm)
    worker["transports"][0]["paths"] = {"ws": {"type": "websocket", **attack.path}}
    return document


@contextlib.contextmanager
def _router(attack: Attack) -> Iterator[Server]:
    port = free_port()
    with scratch() as directory:
        (directory / "config.json").write_text(json.dumps(_document(attack, port)))
        command = [
            *(sys.executable, "-m", "heliograph", "start"),
            *("--cbdir", str(directory), "--loglevel", "none"),
        ]
        started = time.monotonic()
        with running(command) as pid:
            ready_s = await_websocket(pid, port, "/ws", "wamp.2.json", started)
            yield Server(port, (pid,), ready_s)


@contextlib.contextmanager
def _bystander(port: int) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bystander", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def _resident_mib(server: Server) -> float:
    pages = int(Path(f"/proc/{server.pids[0]}/statm").read_text().split()[1])
    return pages * 4096 / MIB


def table(result: Result) -> str:
    """Return the figures as a table."""
    columns = (
        ("others' longest wait, ms", "others_wait_ms", ".0f"),
        ("held MiB", "held_mib", ".0f"),
        ("stated limit MiB", "limit_mib", ".0f"),
        ("held / limit", "held_over_limit", ".2f"),
    )
    return tables.comparison(result, "Attack", columns, ())
