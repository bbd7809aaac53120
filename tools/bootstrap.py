"""Makes a checkout ready: environment, packages, dashboard, browser.

Called by make through `tools/bootstrap`; standard library only. What is in place already is not done again.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import frontend

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "stamps"
CONSTRAINTS = ROOT / "constraints.txt"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS_BROWSERS = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)


class BootstrapError(Exception):
    """A step failed; the message says what to do."""


def main(arguments: list[str]) -> int:
    """Prepare what the named goal needs; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    goals: dict[str, Callable[[], object]] = {
        "run": partial(prepare, "monitor"),
        "dev": partial(prepare, "dev"),
        "test": prepare_tests,
        "constraints": refresh_constraints,
    }
    parser.add_argument("goal", choices=goals)
    goal = parser.parse_args(arguments).goal
    _forget_own_programs()
    try:
        with _only_one_at_a_time():
            goals[goal]()
    except (BootstrapError, frontend.FrontendError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def prepare(extra: str) -> Path:
    """Environment, Python packages of one extra, dashboard; returns the directory of the Node that built it."""
    ensure_environment()
    node = frontend.find_system_node()
    with ThreadPoolExecutor(max_workers=2) as pool:
        packages = pool.submit(ensure_packages, extra, with_node=node is None)
        if node is None:
            packages.result()
            node = frontend.link_node_from_pypi(VENV)
        dashboard = pool.submit(ensure_dashboard, node)
        packages.result()
        dashboard.result()
    return node


def prepare_tests() -> None:
    """What `prepare` does for developers, the JavaScript clients the router is tested with, and a browser."""
    ensure_npm_packages("tests/interop", prepare("dev"))
    ensure_browser()


def ensure_environment() -> None:
    """A virtual environment that works, was made at this path and by this version of Python."""
    if _environment_is_sound():
        return
    _ensure_venv_module()
    with _step("virtual environment"):
        _run(sys.executable, "-m", "venv", "--clear", str(VENV))


def ensure_packages(extra: str, *, with_node: bool) -> None:
    """The package itself (editable) with an extra's dependencies, at the versions of constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = json.dumps([project["project"], project["build-system"]], sort_keys=True)
    node = frontend.NODE_DISTRIBUTION if with_node else ""
    fingerprint = _fingerprint([CONSTRAINTS], declared, sys.version, node)
    # The developers' packages hold all that running needs.
    if any(_is_stamped(f"packages-{installed}", fingerprint) for installed in {extra, "dev"}):
        return
    with _step(f"Python packages ({extra})"):
        _pip(PYTHON, "install", "-c", str(CONSTRAINTS), "-e", f".[{extra}]", *filter(None, [node]))
    _stamp(f"packages-{extra}", fingerprint)


def ensure_npm_packages(folder: str, node: Path) -> None:
    """The npm packages that the folder's lock file pins."""
    directory = ROOT / folder
    locked = [directory / name for name in ("package.json", "package-lock.json")]
    fingerprint = _fingerprint(locked, str(node))
    stamp = f"npm-{directory.name}"
    if _is_stamped(stamp, fingerprint) and (directory / "node_modules").is_dir():
        return
    with _step(f"npm packages ({folder})"):
        frontend.install_packages(directory, node)
    _stamp(stamp, fingerprint)


def ensure_dashboard(node: Path) -> None:
    """npm packages and the built dashboard, for the sources as they are now."""
    ensure_npm_packages("frontend", node)
    sources = _fingerprint(frontend.sources(ROOT))
    if not _is_stamped("dashboard", sources) or not frontend.is_built(ROOT):
        with _step("dashboard"):
            frontend.build(ROOT, node)
        _stamp("dashboard", sources)


def ensure_browser() -> None:
    """A Chromium for the browser tests: the system's, installed when we are root and may."""
    if any(map(shutil.which, BROWSERS)) or any(path.exists() for path in MACOS_BROWSERS):
        return
    if not _can_install_system_packages():
        print("No Chromium found: the browser tests will not run. Install it (Debian: apt install chromium).")
        return
    with _step("Chromium"):
        _install_system_package("chromium")


def refresh_constraints() -> None:
    """Write constraints.txt anew from what pip resolves today, in an environment of its own."""
    environment = ROOT / "build" / "constraints"
    python = environment / "bin" / "python"
    with _step("resolving dependencies anew"):
        _run(sys.executable, "-m", "venv", "--clear", str(environment))
        _pip(python, "install", "-e", ".[dev]", frontend.NODE_DISTRIBUTION)
    frozen = _run(str(python), "-m", "pip", "freeze", "--exclude-editable", "--local")
    header = "# The exact versions a checkout installs. Written by `make constraints`; do not edit.\n"
    CONSTRAINTS.write_text(header + frozen)
    shutil.rmtree(environment)


def _forget_own_programs() -> None:
    """Take the environment's programs off PATH, where make puts them: its own Node is not the system's."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(entry for entry in path if entry != str(VENV / "bin"))


def _environment_is_sound() -> bool:
    pip = VENV / "bin" / "pip"
    if not PYTHON.exists() or not pip.exists():
        return False
    # Scripts name their interpreter by its full path, so an environment does not survive a move.
    if str(PYTHON) not in pip.read_text()[:1024]:
        return False
    asked = subprocess.run(
        [str(PYTHON), "-c", "import sys; print(sys.version)"], capture_output=True, text=True, check=False
    )
    return asked.returncode == 0 and asked.stdout.strip() == sys.version


def _ensure_venv_module() -> None:
    try:
        import ensurepip  # noqa: F401 - Debian's python3 comes without it; venv fails late and at length
    except ImportError:
        package = f"python3.{sys.version_info.minor}-venv"
        if not _can_install_system_packages():
            raise BootstrapError(
                f"{sys.executable} cannot make virtual environments. Install its venv module "
                f"(Debian, Ubuntu: apt install {package}) or name another Python: make PYTHON=…"
            ) from None
        with _step(package):
            _install_system_package(package)


def _can_install_system_packages() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install_system_package(name: str) -> None:
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    _run("apt-get", "update", "-qq")
    _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", name)


def _pip(python: Path, *arguments: str) -> None:
    _run(str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BootstrapError(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _fingerprint(files: Iterable[Path], *facts: str) -> str:
    digest = hashlib.sha256(repr((str(ROOT), facts)).encode())
    for path in files:
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_stamped(name: str, fingerprint: str) -> bool:
    stamp = STAMPS / name
    return stamp.is_file() and stamp.read_text() == fingerprint


def _stamp(name: str, fingerprint: str) -> None:
    STAMPS.mkdir(exist_ok=True)
    (STAMPS / name).write_text(fingerprint)


@contextmanager
def _step(name: str) -> Iterator[None]:
    """Print what begins, since it may take a minute, and how long it took."""
    print(f"{name} …", flush=True)
    started = time.monotonic()
    outcome = "failed after"
    try:
        yield
        outcome = "ready in"
    finally:
        print(f"{name} {outcome} {time.monotonic() - started:.1f} s", flush=True)


@contextmanager
def _only_one_at_a_time() -> Iterator[None]:
    """Let two makes that were started at once wait for each other."""
    with (ROOT / ".bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
