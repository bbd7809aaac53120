"""A WSGI application's own process: gunicorn behind a Unix socket.

Run by a supervisor, with `WorkerSettings` as JSON on standard
input. Nothing else imports this module; gunicorn is only ever loaded here.

The router sends the WSGI environment it has made itself in one header, authenticated by a token. What
gunicorn derives from the request it sees is thrown away: clients' headers never reach it, so that nothing in
them can forge an address, a path or a scheme.
"""

import contextlib
import hmac
import importlib
import json
import os
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # gunicorn has no types
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]  # as above
from gunicorn.errors import AppImportError, HaltServer  # type: ignore[import-untyped]  # as above

from heliograph.processes.parent import end_with_parent, parent_is_gone, take_parent_fd
from heliograph.processes.python import look_for_modules

TOKEN_KEY = "HTTP_X_HELIOGRAPH_TOKEN"  # noqa: S105 (a header's name)
ENVIRON_KEY = "HTTP_X_HELIOGRAPH_ENVIRON"
PROBE_KEY = "heliograph.probe"

MAX_ENVIRON_BYTES = 1024 * 1024
WORKER_TIMEOUT_S = 120
"""Seconds without a sign of life from a worker's main thread, imports included, until it is killed."""

RESPAWN_WINDOW_S = 10.0
SPARE_RESPAWNS = 4
"""Workers replaced in that window before the whole process gives up, for its supervisor to back off."""

_IMPORTERS = (__file__, importlib.__file__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApplication = Callable[[Environ, StartResponse], Iterable[bytes]]
Settings = dict[str, Any]


def authenticated(application: WsgiApplication, token: str) -> WsgiApplication:
    """Wrap an application so that it sees the router's environment, and only the router reaches it.

    Args:
        application: the WSGI application.
        token: what the router presents with each request.
    """

    def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        presented = environ.get(TOKEN_KEY, "").encode("latin-1")
        if not hmac.compare_digest(presented, token.encode()):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"Only the router may ask here\n"]
        described: Environ = json.loads(environ[ENVIRON_KEY])
        if PROBE_KEY in described:
            start_response("204 No Content", [])
            return []
        server_side = {key: value for key, value in environ.items() if key.startswith(("wsgi.", "gunicorn."))}
        return application({**server_side, **described}, start_response)

    return answer


def load_application(module: str, name: str, paths: Iterable[str]) -> WsgiApplication:
    """Import a WSGI application.

    Args:
        module: the module's dotted name.
        name: the application's name in it.
        paths: where its modules are, as of `look_for_modules`.

    Raises:
        RuntimeError: it cannot be imported or called; the message names module and directories.
    """
    paths = list(paths)
    look_for_modules(paths)
    where = f"WSGI application {module}:{name} (pythonpath: {', '.join(paths)})"
    try:
        found = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:
        raise RuntimeError(f"cannot load the {where}: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise RuntimeError(f"cannot call the {where}: it is of type {type(found).__name__}")
    application: WsgiApplication = found
    return application


def _own_traceback(error: RuntimeError) -> str:
    """Return the part of the traceback that the application's author can do something about."""
    cause = error.__cause__
    if cause is None:
        return ""
    frames = traceback.extract_tb(cause.__traceback__)
    own = [frame for frame in frames if frame.filename not in _IMPORTERS and "<frozen" not in frame.filename]
    return "".join(traceback.format_list(own))


class _Arbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn's master, which gives up when its workers do nothing but die."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.forks: deque[float] = deque(maxlen=app.cfg.workers + SPARE_RESPAWNS)

    def spawn_worker(self) -> Any:
        now = time.monotonic()
        if len(self.forks) == self.forks.maxlen and now - self.forks[0] < RESPAWN_WINDOW_S:
            raise HaltServer("workers die as soon as they are started", self.WORKER_BOOT_ERROR)
        self.forks.append(now)
        return super().spawn_worker()


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn with every setting given here; no file, variable or argument adds to them."""

    def __init__(self, settings: Settings, parent_fd: int) -> None:
        self.settings = settings
        self.parent_fd = parent_fd
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._gunicorn_settings().items():
            self.cfg.set(name, value)

    def load(self) -> WsgiApplication:
        settings = self.settings
        try:
            application = load_application(settings["module"], settings["object"], settings["paths"])
        except RuntimeError as error:
            # For this exception gunicorn prints no traceback of its own and ours.
            raise AppImportError(f"{_own_traceback(error)}{error}") from error
        return authenticated(application, settings["token"])

    def run(self) -> None:
        _Arbiter(self).run()

    def _gunicorn_settings(self) -> Settings:
        settings = self.settings
        return {
            "bind": f"unix:{settings['socket']}",
            "umask": 0o077,
            "worker_class": "gthread",
            "workers": settings["processes"],
            "threads": settings["threads"],
            "worker_connections": settings["threads"] + 1000,
            "backlog": 2048,
            "timeout": WORKER_TIMEOUT_S,
            "graceful_timeout": settings["graceful_timeout_s"],
            "keepalive": settings["keepalive_s"],
            "limit_request_field_size": MAX_ENVIRON_BYTES,
            "limit_request_fields": 16,
            "forwarded_allow_ips": "",
            "control_socket_disable": True,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "pidfile": None,
            "chdir": os.getcwd(),
            "post_fork": self._watch_parent,
            "on_exit": self._tidy,
        }

    def _watch_parent(self, arbiter: Any, worker: Any) -> None:
        # In the workers only: the arbiter forks, which it should not do with a thread running.
        end_with_parent(self.parent_fd)

    def _tidy(self, arbiter: Any) -> None:
        """Remove the socket's directory when the parent is no longer there to do it."""
        if parent_is_gone(self.parent_fd):
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(self.settings["socket"]))


def main() -> None:
    """Serve the application described on standard input until told to stop."""
    parent_fd = take_parent_fd()
    settings: Settings = json.load(sys.stdin)
    # The application's standard input is empty, as a server's is.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    del sys.argv[1:]
    _Server(settings, parent_fd).run()


if __name__ == "__main__":
    main()
