"""How a client of these tests talks with them: a JSON object a line, commands in and reports out.

Bytes stand as `{"bytes": "<hexadecimal>"}`.
"""

import json
import sys
import threading
from collections.abc import Callable
from typing import Any

Command = dict[str, Any]

REFUSAL = ("com.example.error.refused", ["no", 42], {"because": "I say so"})
"""What the procedure `refuse` answers with: error URI, positional and keyword payload."""


def say(**report: Any) -> None:
    """Report something to the test."""
    print(json.dumps(report, default=_as_json), file=sys.__stdout__, flush=True)


def say_event(topic: str, args: Any, kwargs: Any) -> None:
    """Report an event."""
    say(event={"topic": topic, "args": list(args), "kwargs": kwargs})


def listen(take: Callable[[Command | None], None]) -> None:
    """Read commands in a thread and call `take` there with each, at the end with None."""
    threading.Thread(target=_read, args=(take,), daemon=True).start()


def _read(take: Callable[[Command | None], None]) -> None:
    for line in sys.stdin:
        take(json.loads(line, object_hook=_from_json))
    take(None)


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    raise TypeError(f"{value!r} cannot be reported")


def _from_json(value: dict[str, Any]) -> Any:
    return bytes.fromhex(value["bytes"]) if value.keys() == {"bytes"} else value
