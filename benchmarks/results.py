"""Results as JSON: with what, where and when they came out."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("heliograph", "msgspec", "picows", "uvloop", "uvicorn", "httptools")


def write(question: str, result: Any, directory: Path) -> Path:
    """Write `result` into `directory` and return the file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{question}.json"
    record = {
        "question": question,
        "command": " ".join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
        "result": result,
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
