"""What may be in the repository: sources that speak of the project alone, nothing built, nothing large."""

import re
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LARGEST_BINARY_BYTES = 200_000
BUILT = re.compile(
    r"(^|/)(node_modules|dist|build|__pycache__)/|\.min\.(js|css)$|\.map$|\.so$|\.sqlite3$|\.whl$"
)
HOME_DIRECTORY = re.compile(r"(?<![\w.])/(?:home|Users)/[a-z][\w-]*/")


def test_no_file_names_a_path_of_the_machine_it_was_written_on(tracked_files: list[Path]) -> None:
    places = {str(ROOT), str(Path.home()), str(ROOT.parent)} - {"/", tempfile.gettempdir(), "/root", "/tmp"}

    naming = {
        str(path.relative_to(ROOT)): place
        for path in tracked_files
        if (text := _text(path)) is not None
        for place in [*places, *HOME_DIRECTORY.findall(text)]
        if re.search(rf"(?<![\w.:]){re.escape(place)}(?:/|\b)", text)
    }

    assert naming == {}


def test_no_binary_is_large(tracked_files: list[Path]) -> None:
    large = {
        str(path.relative_to(ROOT)): path.stat().st_size
        for path in tracked_files
        if path.stat().st_size > LARGEST_BINARY_BYTES and _text(path) is None
    }

    assert large == {}


def test_nothing_built_is_tracked(tracked_files: list[Path]) -> None:
    names = [path.relative_to(ROOT).as_posix() for path in tracked_files]

    assert [name for name in names if BUILT.search(name)] == []


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
