"""What the benchmarks build for themselves: two C programs, and a virtual environment for Crossbar.io."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "benchmarks"
CROSSBAR_VERSION = "26.10.1"
CROSSBAR = BUILD / "crossbar" / "bin" / "crossbar"


class BuildFailed(Exception):  # noqa: N818 - says what happened
    """A program cannot be built; the text says what to do."""


def program(name: str) -> Path:
    """Return the C program `name`, compiled anew when its source has changed.

    Raises:
        BuildFailed: there is no C compiler, or it refuses.
    """
    source = HERE / "load" / f"{name}.c"
    target = BUILD / name
    newest = max(path.stat().st_mtime for path in (source, HERE / "load" / "websocket.h"))
    if target.exists() and target.stat().st_mtime > newest:
        return target
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BuildFailed("a C compiler is needed for the load generator: install gcc")
    BUILD.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-o", str(target), str(source)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise BuildFailed(finished.stderr)
    return target


def install_crossbar() -> None:
    """Install Crossbar.io beside this project, unless it is there; its dependencies do not fit into ours."""
    if CROSSBAR.exists():
        print(f"Crossbar.io is there: {CROSSBAR}")
        return
    directory = CROSSBAR.parent.parent
    venv.create(directory, with_pip=True, symlinks=True)
    pip = [
        str(directory / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        f"crossbar=={CROSSBAR_VERSION}",
    ]
    if subprocess.run(pip, check=False).returncode != 0:
        raise BuildFailed("Crossbar.io could not be installed; pip's message is above")
    print(f"Crossbar.io {CROSSBAR_VERSION} is in {directory}", file=sys.stderr)
