"""What a server takes before anybody uses it: time to ready, idle memory, installed size."""

import argparse
import json
import subprocess
from pathlib import Path

from benchmarks import tables
from benchmarks.figures import Cases, Measurement, Result
from benchmarks.peers import PEERS
from benchmarks.peers.peer import Server
from benchmarks.runs import rounds

HELP = "time to ready, idle memory, installed size"

# Runs in the peer's own environment: all distributions that those named by the arguments need.
_SIZE = """
import json, re, sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from pip._vendor.packaging.requirements import Requirement

seen, sizes, waiting = set(), {}, [Requirement(text) for text in sys.argv[1:]]
while waiting:
    wanted = waiting.pop()
    name = re.sub(r"[-_.]+", "-", wanted.name).lower()
    if (name, frozenset(wanted.extras)) in seen:
        continue
    seen.add((name, frozenset(wanted.extras)))
    try:
        found = distribution(name)
    except PackageNotFoundError:
        continue
    files = [Path(found.locate_file(file)) for file in found.files or ()]
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        files += Path(origin["url"].removeprefix("file://"), "src", name).rglob("*")
    sizes[name] = sum(file.stat().st_size for file in files if file.is_file())
    for text in found.requires or ():
        needed = Requirement(text)
        if not needed.marker or any(needed.marker.evaluate({"extra": e}) for e in wanted.extras or {""}):
            waiting.append(needed)
print(json.dumps([len(sizes), sum(sizes.values())]))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    del parser


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round."""
    sizes: Cases = {}

    def cases(name: str, server: Server) -> Cases:
        if name not in sizes:
            sizes[name] = _installed(name)
        return {"": {"ready_s": server.ready_s, "memory_mib": server.memory_mib(), **sizes[name]}}

    return rounds(arguments, "startup", cases)


def _installed(name: str) -> Measurement:
    where = PEERS[name].packages()
    if where is None:
        return {}
    python, distributions = where
    command = [str(python), "-c", _SIZE, *distributions]
    # Not in this directory: the interpreter must find nothing but what is installed.
    count, size = json.loads(subprocess.run(command, cwd=Path("/"), capture_output=True, check=True).stdout)
    return {"distributions": count, "installed_mib": size / 2**20}


def table(result: Result) -> str:
    """Return the figures as a table, with Heliograph's ratio to each peer."""
    columns = (
        ("ready after s", "ready_s", ".2f"),
        ("idle memory MiB", "memory_mib", ".1f"),
        ("installed MiB", "installed_mib", ".1f"),
        ("distributions", "distributions", ".0f"),
    )
    return tables.comparison(result, "Server", columns, ("ready_s", "memory_mib", "installed_mib"))
