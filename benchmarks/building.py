"""What the benchmarks build for themselves: C programs, virtual environments for peers, a certificate."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "benchmarks"
SOURCES = HERE / "load"


class BuildFailed(Exception):  # noqa: N818 - says what happened
    """Something cannot be built; the text says what to do."""


def program(name: str) -> Path:
    """Return the C program `name`, compiled anew when a source has changed.

    Raises:
        BuildFailed: there is no C compiler, or it refuses.
    """
    target = BUILD / name
    newest = max(path.stat().st_mtime for path in SOURCES.iterdir())
    if target.exists() and target.stat().st_mtime > newest:
        return target
    BUILD.mkdir(parents=True, exist_ok=True)
    command = [
        _compiler(),
        "-O2",
        "-Wall",
        "-Wextra",
        "-D_GNU_SOURCE",
        str(SOURCES / f"{name}.c"),
        "-o",
        str(target),
    ]
    if has_tls():
        command += ["-DWITH_TLS", "-lssl", "-lcrypto"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise BuildFailed(finished.stderr)
    return target


def has_tls() -> bool:
    """Whether OpenSSL's headers are there, so that the C programs can speak TLS."""
    command = [_compiler(), "-E", "-include", "openssl/ssl.h", "-x", "c", "/dev/null"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _compiler() -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BuildFailed("a C compiler is needed for the load generator: install gcc")
    return compiler


def environment(name: str) -> Path:
    """Return the Python of the virtual environment `name`, which need not be there yet."""
    return BUILD / name / "bin" / "python"


def install_environment(name: str, *requirements: str) -> None:
    """Make the virtual environment `name` with `requirements`, unless it is complete."""
    directory = BUILD / name
    stamp = directory / "installed"
    if stamp.exists() and stamp.read_text() == "\n".join(requirements):
        print(f"{name} is there: {directory}", file=sys.stderr)
        return
    venv.create(directory, with_pip=True, symlinks=True)
    pip = [str(environment(name)), "-m", "pip", "install", "--quiet", *requirements]
    if subprocess.run(pip, check=False).returncode != 0:
        raise BuildFailed(f"{' '.join(requirements)} could not be installed; pip's message is above")
    stamp.write_text("\n".join(requirements))
    print(f"{name} is in {directory}", file=sys.stderr)


def is_installed(name: str, *requirements: str) -> bool:
    """Whether the virtual environment `name` holds `requirements`."""
    stamp = BUILD / name / "installed"
    return stamp.exists() and stamp.read_text() == "\n".join(requirements)


def certificate() -> tuple[Path, Path]:
    """Return a certificate for localhost and its key, made once.

    Raises:
        BuildFailed: the program openssl is missing or refuses.
    """
    paths = BUILD / "certificate.pem", BUILD / "key.pem"
    if all(path.exists() for path in paths):
        return paths
    openssl = shutil.which("openssl")
    if openssl is None:
        raise BuildFailed("a certificate is needed for TLS: install openssl")
    BUILD.mkdir(parents=True, exist_ok=True)
    command = [
        openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "3650", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-out", str(paths[0]), "-keyout", str(paths[1]),
    ]  # fmt: skip
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise BuildFailed(finished.stderr)
    return paths
