"""Results as JSON: with what, where and when they came out."""

import json
import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.figures import Result
from benchmarks.peers import PEERS

LIBRARIES = ("heliograph", "msgspec", "picows", "uvloop", "uvicorn", "httptools")


def write(question: str, result: Result, directory: Path) -> Path:
    """Write `result` into `directory` and return the file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{question}.json"
    record = {
        "question": question,
        "command": " ".join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        # Well above the processes that were measured, it tells that others were at work.
        "load_average_1_min": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
        "peers": {name: PEERS[name].title() for measured in result for name in measured},
        "rounds": result,
    }
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read(questions: Iterable[str], directory: Path) -> dict[str, dict[str, Any]]:
    """Return question → record, as `write` wrote it, for those that have been answered."""
    paths = {question: directory / f"{question}.json" for question in questions}
    return {
        question: json.loads(path.read_text(encoding="utf-8"))
        for question, path in paths.items()
        if path.exists()
    }


def machine() -> str:
    """Return processor, cores and operating system."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
