"""The wheel holds the built dashboard; building it without one builds it, or says what is missing."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = "heliograph/monitor/static/heliograph_monitor/dashboard/dashboard.js"


@pytest.fixture
def checkout(tracked_files: list[Path], tmp_path: Path) -> Path:
    """What git tracks, of the parts that a build reads, without anything built."""
    copy = tmp_path / "checkout"
    parts = {"src", "tools", "pyproject.toml", "README.md", "LICENSE", ".gitignore"}
    for path in tracked_files:
        name = path.relative_to(ROOT)
        if name.parts[0] in parts:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy / name)
    (copy / "frontend").mkdir()
    return copy


def _build(checkout: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=checkout,
        env={**os.environ, "PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _contents(checkout: Path) -> set[str]:
    (wheel,) = (checkout / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_a_built_dashboard_goes_into_the_wheel_without_node(checkout: Path, tmp_path: Path) -> None:
    for name in ("dashboard.js", "dashboard.css"):
        built = (checkout / "src" / DASHBOARD).with_name(name)
        built.parent.mkdir(parents=True, exist_ok=True)
        built.write_text("/* built */")

    made = _build(checkout, path=tmp_path)

    assert made.returncode == 0, made.stderr
    assert {DASHBOARD, "heliograph/py.typed"} <= _contents(checkout)


def test_a_missing_dashboard_is_built_with_the_systems_node(checkout: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    output = checkout / "src" / Path(DASHBOARD).parent
    stand_ins = {
        "node": "echo v22.0.0",
        "npm": f'if [ "$1" = run ]; then mkdir -p {output} && echo x > {output}/dashboard.js'
        f" && echo x > {output}/dashboard.css; fi",
    }
    for name, body in stand_ins.items():
        (programs / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n")
        (programs / name).chmod(0o755)

    made = _build(checkout, path=programs)

    assert made.returncode == 0, made.stderr
    assert DASHBOARD in _contents(checkout)


def test_without_dashboard_and_without_node_no_wheel_is_made_and_the_way_out_is_named(
    checkout: Path, tmp_path: Path
) -> None:
    refused = _build(checkout, path=tmp_path)

    assert refused.returncode != 0
    assert "building it needs Node 20.19 or newer" in refused.stderr
    assert not list(checkout.glob("dist/*.whl"))


def test_an_editable_install_needs_no_dashboard_and_no_node(checkout: Path, tmp_path: Path) -> None:
    program = "from hatchling.build import build_editable; build_editable('.')"
    made = subprocess.run(
        [sys.executable, "-c", program],
        cwd=checkout,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert made.returncode == 0, made.stderr
