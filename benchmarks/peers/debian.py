"""Peers that are Debian packages."""

import os
import re
import shutil
import subprocess

from benchmarks.building import BuildFailed

# Where Debian keeps servers, which is not on everybody's PATH.
_SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"


def program_path(name: str) -> str | None:
    """Return the path of the program `name`, or None."""
    return shutil.which(name) or shutil.which(name, path=_SYSTEM)


def absence(program: str, *packages: str) -> str | None:
    """Return how to get `program`, or None when it is there."""
    if program_path(program) is not None:
        return None
    return f"not installed: python -m benchmarks setup as root, or apt-get install {' '.join(packages)}"


def install(*packages: str) -> None:
    """Install Debian packages.

    Raises:
        BuildFailed: we are not root, this is no Debian, or apt-get refuses.
    """
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise BuildFailed(f"root on Debian is needed for apt-get install {' '.join(packages)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    commands = (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    )
    for command in commands:
        finished = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if finished.returncode != 0:
            raise BuildFailed(finished.stderr)


def version_of(package: str) -> str:
    """Return the version of an installed package, without Debian's epoch and revision."""
    command = ["dpkg-query", "-W", "-f", "${Version}", package]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.match(r"(?:\d+:)?([\d.]+)", finished.stdout)
    return found[1] if found else "of unknown version"
