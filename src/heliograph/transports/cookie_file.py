"""A file that remembers whom cookies stand for, across restarts. It holds digests: no cookie can be read from it."""

import asyncio
import contextlib
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from heliograph.routing.authenticators.cookie import Cookies, Remembered
from heliograph.routing.peer import Clock

_LOG = logging.getLogger(__name__)

_VERSION = 2


class _Head(msgspec.Struct, frozen=True):
    version: int


class _Content(msgspec.Struct, frozen=True):
    version: int
    cookies: Mapping[str, Remembered]


class CookieFileUnusable(Exception):  # noqa: N818 - says what happened
    """The file cannot be read or written; the text says which and why."""


class CookieFile:
    """Keeps the cookies of one transport.

    Args:
        file: where.
        max_age_s: seconds for which a cookie stands for somebody.
        clock: tells the time.
        purge: begin anew.

    Attributes:
        cookies: whom they stand for.

    Raises:
        CookieFileUnusable: it cannot be read, is something else, or cannot be replaced.
    """

    def __init__(self, file: Path, *, max_age_s: float, clock: Clock, purge: bool = False) -> None:
        self._file = file
        self.cookies = Cookies(
            max_age_s,
            clock,
            remembered={} if purge else _read(file),
            changed=self._on_change,
        )
        self._writing: asyncio.Task[None] | None = None
        self._is_stale = False
        try:
            self._write(self.cookies.remembered)
        except OSError as error:
            raise CookieFileUnusable(f"{file} cannot be written: {error.strerror}") from error

    async def close(self) -> None:
        """Wait until all is written."""
        if self._writing is not None:
            await self._writing

    def _on_change(self) -> None:
        # One write at a time; what changes meanwhile is in the next.
        self._is_stale = True
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_while_stale())

    async def _write_while_stale(self) -> None:
        try:
            while self._is_stale:
                self._is_stale = False
                await asyncio.to_thread(self._write, dict(self.cookies.remembered))
        except OSError as error:
            _LOG.error("cookies are remembered until the router stops: %s: %s", self._file, error.strerror)
        finally:
            self._writing = None

    def _write(self, remembered: Mapping[str, Remembered]) -> None:
        """Put `remembered` in the file's place; a crash leaves the one or the other."""
        # Only its owner may read and write what this makes.
        descriptor, name = tempfile.mkstemp(prefix=f".{self._file.name}-", dir=self._file.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(msgspec.json.encode(_Content(_VERSION, remembered)))
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, self._file)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise


def _read(file: Path) -> Mapping[str, Remembered]:
    try:
        text = file.read_bytes()
        version = msgspec.json.decode(text, type=_Head).version
        content = msgspec.json.decode(text, type=_Content) if version == _VERSION else None
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CookieFileUnusable(f"{file} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError:
        raise CookieFileUnusable(f"{file} is no file of remembered cookies: move it away") from None
    if content is not None:
        return content.cookies
    if version > _VERSION:
        raise CookieFileUnusable(f"{file} was written by another version: move it away")
    # It does not tell by what anybody authenticated, so nobody can be asked whether that still counts.
    _LOG.warning("%s was written by an earlier version: browsers have to authenticate once more", file)
    return {}
