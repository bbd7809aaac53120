"""Take the documentation's pictures: a real monitor with a small fleet, in light, dark and on a phone.

    python tools/screenshots.py [SECONDS]

The machines are made up, all else is real: they enrol and publish as agents do, SECONDS long (default 60) before the
pictures are taken, so that the curves have something to show. Needs the `dev` extra and Chromium.
"""

import asyncio
import math
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import sync_playwright

from heliograph.client import connect

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
MAX_BYTES = 200 * 1024
GIB = 2**30
PAGES: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 860}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 860}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
}


class Machine(NamedTuple):
    """A machine that does not exist."""

    name: str
    cores: int
    busy: float
    memory_gib: int
    disks: dict[str, tuple[int, float]]


FLEET = (
    Machine("web-1", 8, 0.35, 16, {"/": (80, 0.42)}),
    Machine("web-2", 8, 0.30, 16, {"/": (80, 0.39)}),
    Machine("db-1", 16, 0.62, 64, {"/": (80, 0.21), "/var/lib/postgresql": (960, 0.71)}),
    Machine("worker-1", 4, 0.93, 8, {"/": (40, 0.88)}),
    Machine("backup", 2, 0.06, 4, {"/": (40, 0.33), "/srv/backup": (4000, 0.94)}),
)


def main() -> int:
    """Take the pictures and return the exit code."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as data:
        command = [
            sys.executable,
            "-m",
            "heliograph",
            "monitor",
            "run",
            "--data",
            data,
            "--port",
            "0",
            "--no-agent",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as monitor:
            assert monitor.stdout is not None  # noqa: S101 - for the type checker
            try:
                told = next(line for line in monitor.stdout if "Heliograph monitor" in line)
                url = re.findall(r"http\S+", told)[0]
                asyncio.run(_run_fleet(url, seconds))
            finally:
                monitor.send_signal(signal.SIGINT)
    return 0


async def _run_fleet(url: str, seconds: float) -> None:
    fleet = [asyncio.create_task(_run_machine(machine, number, url)) for number, machine in enumerate(FLEET)]
    try:
        await asyncio.to_thread(_photograph, url, seconds)
    finally:
        for task in fleet:
            task.cancel()
        await asyncio.gather(*fleet, return_exceptions=True)


async def _run_machine(machine: Machine, number: int, url: str) -> None:
    ip = f"192.0.2.{number + 11}"
    body = urllib.parse.urlencode({"client": machine.name, "ip": ip}).encode()
    await asyncio.to_thread(lambda: urllib.request.urlopen(f"{url}clients/", body).close())  # noqa: S310 - our own
    noise = random.Random(machine.name)  # noqa: S311 - for a picture
    async with connect(f"{url.replace('http', 'ws')}ws") as session:
        sequence = 0
        while True:
            sequence += 1
            await session.publish("clientstats", _sample(machine, ip, sequence, noise))
            await asyncio.sleep(1)


def _sample(machine: Machine, ip: str, sequence: int, noise: random.Random) -> dict[str, Any]:
    wave = machine.busy * (1 + 0.35 * math.sin(sequence / 9) + 0.15 * noise.uniform(-1, 1))
    cores = [max(0.5, min(100.0, 100 * wave * noise.uniform(0.6, 1.3))) for _ in range(machine.cores)]
    load = machine.cores * sum(cores) / len(cores) / 100
    memory = machine.memory_gib * GIB
    return {
        "client": machine.name,
        "ip": ip,
        "name": f"{machine.name}.example.org",
        "version": "0.1.0",
        "sequence": sequence,
        "time_s": time.time(),
        "interval_s": 1,
        "uptime_s": 86400.0 * (5 + machine.cores) + sequence,
        "cpu_percents": [round(core, 1) for core in cores],
        "load_averages": [round(load * share, 2) for share in (1.0, 0.95, 0.9)],
        "memory_used_bytes": int(memory * (0.3 + 0.45 * machine.busy + 0.02 * math.sin(sequence / 15))),
        "memory_total_bytes": memory,
        "swap_used_bytes": int(0.1 * machine.busy * 2 * GIB),
        "swap_total_bytes": 2 * GIB,
        "disk_usages": [
            {"mountpoint": mountpoint, "used_bytes": int(size * GIB * share), "total_bytes": size * GIB}
            for mountpoint, (size, share) in machine.disks.items()
        ],
    }


def _photograph(url: str, seconds: float) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium: install the package `chromium`")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        pages = {name: browser.new_context(**options).new_page() for name, options in PAGES.items()}
        for page in pages.values():
            page.goto(url)
        next(iter(pages.values())).wait_for_timeout(seconds * 1000)
        for name, page in pages.items():
            page.bring_to_front()
            page.wait_for_timeout(1500)
            path = IMAGES / f"dashboard-{name}.png"
            page.screenshot(path=path)
            print(f"{path.name}: {path.stat().st_size // 1024} KiB")
            if path.stat().st_size > MAX_BYTES:
                raise SystemExit(f"{path.name} is larger than {MAX_BYTES // 1024} KiB")
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
