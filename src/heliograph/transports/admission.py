"""What deciding about clients takes beside routing: files with secrets, and files that remember cookies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from heliograph.auth.options import DynamicOptions, FunctionOptions, SecretFile
from heliograph.auth.secret_files import read_secret
from heliograph.routing.authenticators.cookie import Cookies
from heliograph.routing.options import SessionOptions
from heliograph.routing.outside import Outside
from heliograph.routing.peer import Clock
from heliograph.routing.router_caller import RouterCaller
from heliograph.transports.cookie_file import CookieFile
from heliograph.transports.options import CookieOptions, FileCookieStore


class Admission:
    """Reads the files that a node's configuration names.

    Args:
        node_directory: what their paths are relative to.
        clock: tells the time.
        ask_function: returns how to ask a Python function, and who does.
    """

    def __init__(
        self,
        node_directory: Path,
        clock: Clock,
        *,
        ask_function: Callable[[FunctionOptions], tuple[DynamicOptions, RouterCaller]],
    ) -> None:
        self._ask_function = ask_function
        self._directory = node_directory
        self._clock = clock
        self._files: list[CookieFile] = []

    def outside(self) -> Outside:
        """Return what a router is handed."""
        return Outside(read_secret=self._read_secret, ask_function=self._ask_function, cookies=self._cookies)

    async def stop(self) -> None:
        """Wait until all is written."""
        await asyncio.gather(*(file.close() for file in self._files))

    def _read_secret(self, secret: str | SecretFile) -> str:
        return read_secret(secret, self._directory)

    def _cookies(self, options: SessionOptions) -> Cookies | None:
        cookie = getattr(options, "cookie", None)
        if not isinstance(cookie, CookieOptions):
            return None
        if not isinstance(cookie.store, FileCookieStore):
            return Cookies(cookie.max_age_s, self._clock)
        file = CookieFile(
            self._directory / cookie.store.filename,
            max_age_s=cookie.max_age_s,
            clock=self._clock,
            purge=cookie.store.purge_on_startup,
        )
        self._files.append(file)
        return file.cookies
