"""The directory that holds everything one monitor keeps: database, secret key and collected static files."""

import os
import secrets
import stat
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_KEY_BYTES = 48
_SHORTEST_KEY_CHARACTERS = 50
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def open_data_directory(path: str) -> Path:
    """Return the directory as an absolute path, made for its owner alone when it was not there.

    Raises:
        ImproperlyConfigured: it cannot be made, or is something else than a directory.
    """
    directory = Path(path).expanduser().absolute()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"HELIOGRAPH_DATA: {directory} cannot be used as the data directory: {error.strerror}"
        ) from error
    return directory


def secret_key(directory: Path) -> str:
    """Return the site's secret key, made at the first call and kept in `secret_key`, readable by its owner.

    Processes that start together agree on one key: it appears whole or not at all.

    Raises:
        ImproperlyConfigured: the file is there and holds no usable key, or cannot be read or written.
    """
    path = directory / "secret_key"
    try:
        if not path.exists():
            _write_once(path, secrets.token_urlsafe(_KEY_BYTES))
        _keep_from_others(path)
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"the secret key in {path} cannot be read or written: {error}") from error
    if len(key) < _SHORTEST_KEY_CHARACTERS:
        raise ImproperlyConfigured(
            f"the secret key in {path} is shorter than {_SHORTEST_KEY_CHARACTERS} characters;"
            " delete the file to have a new one made (everybody is logged out by that)"
        )
    return key


def database_file(directory: Path) -> Path:
    """Return the SQLite database's file, made empty when new, readable by its owner: it holds password hashes.

    SQLite gives the files it puts beside it the same mode.

    Raises:
        ImproperlyConfigured: it cannot be made, or belongs to somebody else.
    """
    path = directory / "db.sqlite3"
    try:
        path.touch(mode=0o600)
        _keep_from_others(path)
    except OSError as error:
        raise ImproperlyConfigured(f"the database {path} cannot be used: {error.strerror}") from error
    return path


def _keep_from_others(path: Path) -> None:
    if os.name == "posix" and path.stat().st_mode & _OPEN_TO_OTHERS:
        path.chmod(0o600)


def _write_once(path: Path, text: str) -> None:
    """Write `text` to `path` unless somebody else was faster; readers never see half a file."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".secret_key-")  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        Path(temporary).unlink()
