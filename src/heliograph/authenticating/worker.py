"""`python -m heliograph.authenticating.worker`: the process of one function, started by the router."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from heliograph.client import connect
from heliograph.client.authentication import Ticket
from heliograph.client.errors import ApplicationError
from heliograph.logs.printing import print_error
from heliograph.logs.setup import set_up_logging
from heliograph.processes.parent import end_with_parent, take_parent_fd
from heliograph.processes.python import look_for_modules

Answer = Callable[[str, str | None, dict[str, Any]], Awaitable[Any]]

DENIED = "heliograph.error.authentication_denied"


def load_function(create: str, config: Mapping[str, Any], paths: list[str]) -> Answer:
    """Import a factory, call it, and return its function as one that can be awaited.

    Args:
        create: dotted name of the factory.
        config: what it is given.
        paths: where its modules are, as of `look_for_modules`.

    Raises:
        RuntimeError: it cannot be imported or called, or returns no function; the text says which.
    """
    look_for_modules(paths)
    module, _, name = create.rpartition(".")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:
        where = f"{create} (pythonpath: {', '.join(paths)})"
        raise RuntimeError(
            f"cannot load the authenticator {where}: {type(error).__name__}: {error}"
        ) from error
    # The second is Crossbar.io's controller, which it gives to those alone that ask for it.
    function = factory(config, None)
    if inspect.isawaitable(function):
        raise RuntimeError(f"{create} must be a plain function; what it returns may be a coroutine function")
    if not callable(function):
        raise RuntimeError(f"{create} returned something of type {type(function).__name__}, not a function")
    return _awaitable(function)


def _awaitable(function: Callable[..., Any]) -> Answer:
    is_coroutine = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an asynchronous __call__
    )

    async def answer(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
        if is_coroutine:
            result = await function(realm, authid, details)
        else:
            result = await asyncio.to_thread(function, realm, authid, details)
        if result is None:
            raise ApplicationError(DENIED)
        return result

    return answer


async def _serve(settings: Mapping[str, Any], answer: Answer) -> None:
    async with connect(
        f"unix:{settings['socket']}",
        realm=settings["realm"],
        authentication=Ticket(settings["procedure"], settings["ticket"]),
        serializers=("msgpack",),
        retry_first=True,
    ) as session:
        await session.register(answer, settings["procedure"])
        await asyncio.Event().wait()


def main() -> int:
    """Answer for the function described on standard input until told to stop; return the exit code."""
    end_with_parent(take_parent_fd())
    set_up_logging("warn", has_head=False)
    settings = json.load(sys.stdin)
    # The function's standard input is empty, as a server's is.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    try:
        answer = load_function(settings["create"], settings["config"], settings["paths"])
    except RuntimeError as error:
        print_error(error)
        return 1
    asyncio.run(_serve(settings, answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
