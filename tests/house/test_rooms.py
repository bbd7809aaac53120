"""The rooms: what the documentation says is what stands there, and nobody walks through a wall."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "heliograph"
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def test_the_table_of_rooms_lists_what_stands_in_the_package() -> None:
    rows = re.findall(r"^\| `([a-z_]+(?:/|\.py))` \|", ARCHITECTURE.read_text(), re.MULTILINE)

    assert sorted(rows) == sorted(_rooms())


def test_no_import_crosses_a_wall() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def _rooms() -> list[str]:
    folders = [f"{path.name}/" for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    modules = [path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")]
    return folders + modules
