"""Foreign clients at work, each in a process or a page of its own, told what to do by the test."""

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from playwright.sync_api import Page

REFUSAL = {"uri": "com.example.error.refused", "args": ["no", 42], "kwargs": {"because": "I say so"}}
"""What every client's procedure `refuse` answers with."""

ANSWER_TIMEOUT_S = 20.0
START_TIMEOUT_S = 90.0
"""Twenty of them start at once."""

LIFE_S = 300.0
"""Seconds after which a client is killed, whatever it is doing."""

Report = dict[str, Any]


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """What a client was answered with instead of a result: `uri`, `args`, `kwargs`."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.error = error


class Client(Protocol):
    """A client that has joined, subscribed to the topic and registered `echo` and `refuse`.

    Attributes:
        name: the library and its serializer.
        protocol: the WebSocket sub-protocol it got.
        prefix: what its procedures' URIs begin with.
    """

    name: str
    protocol: str
    prefix: str

    def do(self, action: str, uri: str, **details: Any) -> Any:
        """Let it `publish`, `call`, `subscribe`, `register` or `undo`; raises `Refused`."""

    def next_event(self) -> dict[str, Any]:
        """Wait for an event and return its topic, args and kwargs."""

    def left(self) -> Any:
        """Wait until it has noticed that its session is over."""

    def stop(self) -> None:
        """Let it leave, and end it."""


class ProcessClient:
    """A client in a process of its own.

    Args:
        name: see `Client`.
        command: starts it; URL, realm, serializer, topic and prefix are in it.
        prefix: see `Client`.
        directory: where what it says on standard error is kept.
    """

    def __init__(self, name: str, command: Sequence[str], prefix: str, directory: Path) -> None:
        self.name = name
        self.prefix = prefix
        self.protocol = ""
        self._errors = directory / f"{name}.stderr"
        self._ids = itertools.count(1)
        self._reports: list[Report] = []
        self._said: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self._watchdog = threading.Timer(LIFE_S, self._process.kill)
        self._watchdog.start()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_ready(self) -> None:
        """Wait until it has joined."""
        self.protocol = self._take("ready", timeout_s=START_TIMEOUT_S)["ready"]

    def do(self, action: str, uri: str, **details: Any) -> Any:
        number = next(self._ids)
        assert self._process.stdin is not None
        command = {"id": number, "do": action, "uri": uri, **details}
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        report = self._take("answer", number)
        if "error" in report:
            raise Refused(report["error"])
        return report["result"]

    def next_event(self) -> dict[str, Any]:
        event: dict[str, Any] = self._take("event")["event"]
        return event

    def left(self) -> Any:
        return self._take("left")

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            code = self._process.wait(ANSWER_TIMEOUT_S)
        finally:
            self._watchdog.cancel()
            self._process.kill()
            self._process.wait()
            self._reader.join(ANSWER_TIMEOUT_S)
            self._process.stdout.close()
        assert code == 0, f"{self.name} ended with {code}\n{self._story()}"

    def _take(self, kind: str, value: Any = None, *, timeout_s: float = ANSWER_TIMEOUT_S) -> Report:
        """Wait for a report and take it out of the list."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for report in self._reports:
                    if kind in report and (value is None or report[kind] == value):
                        self._reports.remove(report)
                        return report
                remaining = deadline - time.monotonic()
                assert not self._ended, f"{self.name} ended before its {kind!r}\n{self._story()}"
                assert remaining > 0, f"{self.name}: no {kind!r} in {timeout_s:g} s\n{self._story()}"
                self._changed.wait(remaining)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._said.append(line)
                if line.startswith("{"):
                    self._reports.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _story(self) -> str:
        return f"--- it said:\n{''.join(self._said)}--- and complained:\n{self._errors.read_text()}---"


class BrowserClient:
    """A client in a page.

    Args:
        name: see `Client`.
        page: has loaded the page of the client.
        realm: which it joins.
        topic: which it subscribes to.
        prefix: see `Client`.
    """

    def __init__(self, name: str, page: Page, *, realm: str, topic: str, prefix: str) -> None:
        self.name = name
        self.prefix = prefix
        self._page = page
        page.set_default_timeout(ANSWER_TIMEOUT_S * 1000)
        page.evaluate("arguments => start(...arguments)", [realm, topic, prefix, REFUSAL])
        self.protocol: str = self._take("ready")["ready"]

    def do(self, action: str, uri: str, **details: Any) -> Any:
        answer = self._page.evaluate("command => perform(command)", {"do": action, "uri": uri, **details})
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def next_event(self) -> dict[str, Any]:
        event: dict[str, Any] = self._take("event")["event"]
        return event

    def left(self) -> Any:
        return self._take("left")

    def stop(self) -> None:
        self._page.evaluate("client.leave()")
        self.left()
        self._page.close()

    def _take(self, kind: str) -> Report:
        self._page.wait_for_function("kind => reports.some((report) => kind in report)", arg=kind)
        report: Report = self._page.evaluate(
            "kind => reports.splice(reports.findIndex((report) => kind in report), 1)[0]", kind
        )
        return report
