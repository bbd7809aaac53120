"""`python tools/compare_clients.py`: the programs of docs/client-comparison.md in figures.

Lines are those that are not empty. The time of the import and the memory after it are medians of several fresh
processes, less what asyncio alone takes.
"""

import re
import statistics
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "client-comparison.md"
TASKS = ("Subscribe and print", "Call with progress, and cancel", "A service that survives a restart")
RUNS = 7

MEASURE = """
import resource, time
begin = time.perf_counter()
{imports}
seconds = time.perf_counter() - begin
with open("/proc/self/statm") as statm:
    pages = int(statm.read().split()[1])
print(seconds, pages * resource.getpagesize())
"""


def programs() -> list[tuple[str, str]]:
    """Return the programs of the page, each task's with Heliograph and with Autobahn."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return list(zip(blocks[::2], blocks[1::2], strict=True))


def lines(program: str) -> int:
    """Return how many lines of a program are not empty."""
    return sum(1 for line in program.splitlines() if line.strip())


def imports(program: str) -> str:
    """Return the import statements of a program."""
    return "\n".join(line for line in program.splitlines() if line.startswith(("import ", "from ")))


def measure(statements: str) -> tuple[float, float]:
    """Return the median seconds that imports take, and the median MiB that the process has afterwards."""
    program = MEASURE.format(imports=statements)
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        for _ in range(RUNS)
    ]
    figures = [[float(figure) for figure in run.stdout.split()] for run in runs]
    seconds, resident = (statistics.median(column) for column in zip(*figures, strict=True))
    return seconds, resident / 2**20


def table() -> str:
    """Return the figures as a table in Markdown."""
    nothing_s, nothing_mib = measure("import asyncio")
    rows = [
        "| | Heliograph | Autobahn |",
        "|---|---|---|",
        *(
            f"| {task}: lines | {lines(ours)} | {lines(theirs)} |"
            for task, (ours, theirs) in zip(TASKS, programs(), strict=True)
        ),
    ]
    (our_s, our_mib), (their_s, their_mib) = (
        measure("import asyncio\n" + imports(program)) for program in programs()[2]
    )
    rows += [
        f"| import, beside asyncio's {nothing_s * 1000:.0f} ms | {(our_s - nothing_s) * 1000:.0f} ms"
        f" | {(their_s - nothing_s) * 1000:.0f} ms |",
        f"| memory after it, beside asyncio's {nothing_mib:.0f} MiB | {our_mib - nothing_mib:.0f} MiB"
        f" | {their_mib - nothing_mib:.0f} MiB |",
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
