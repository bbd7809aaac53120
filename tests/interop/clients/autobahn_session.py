"""What Autobahn's sessions can do, with Twisted and asyncio alike: commands to deferreds or futures."""

from typing import Any

import lines
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallOptions, CallResult, PublishOptions, RegisterOptions, SubscribeOptions


def echo(*args: Any, **kwargs: Any) -> CallResult:
    """Return what was given."""
    return CallResult(*args, **kwargs)


def refuse(*args: Any, **kwargs: Any) -> None:
    """Raise the error that the tests expect."""
    uri, error_args, error_kwargs = lines.REFUSAL
    raise ApplicationError(uri, *error_args, **error_kwargs)


def count(end: int, details: Any = None) -> int:
    """Return `end`, after the numbers below it one by one if the caller wants them."""
    if details.progress:
        for number in range(end):
            details.progress(number)
    return end


def called(details: Any = None) -> str:
    """Return the procedure that was called."""
    return str(details.procedure)


PROCEDURES = {"echo": echo, "refuse": refuse}
DETAILED = {"count": count, "called": called}
"""Procedures that are told what Autobahn knows of the call."""


class Commands:
    """Carries out commands on a session.

    Args:
        session: an Autobahn session that has joined.
    """

    def __init__(self, session: Any) -> None:
        self.session = session
        self.standing: dict[str, Any] = {}
        # Autobahn tells no session what was negotiated, only its transport knows.
        transport = session._transport
        self.protocol: str = getattr(transport, "websocket_protocol_in_use", None) or "rawsocket"

    def start(self, command: lines.Command) -> Any:
        """Begin with a command and return Autobahn's deferred or future."""
        return getattr(self, command["do"])(command)

    def publish(self, command: lines.Command) -> Any:
        options = PublishOptions(acknowledge=True)
        return self.session.publish(command["uri"], *command["args"], options=options, **command["kwargs"])

    def call(self, command: lines.Command) -> Any:
        options = None
        if command.get("progress"):
            partial = command["partial"] = []
            options = CallOptions(on_progress=lambda *args: partial.append(list(args)))
        return self.session.call(command["uri"], *command["args"], options=options, **command["kwargs"])

    def subscribe(self, command: lines.Command) -> Any:
        topic = command["uri"]
        if "match" not in command:
            return self.session.subscribe(lambda *args, **kwargs: lines.say_event(topic, args, kwargs), topic)

        def report(*args: Any, details: Any, **kwargs: Any) -> None:
            lines.say_event(details.topic, args, kwargs)

        options = SubscribeOptions(match=command["match"], details_arg="details")
        return self.session.subscribe(report, topic, options=options)

    def register(self, command: lines.Command) -> Any:
        name = command["procedure"]
        options = RegisterOptions(
            match=command.get("match"), details_arg="details" if name in DETAILED else None
        )
        return self.session.register({**PROCEDURES, **DETAILED}[name], command["uri"], options=options)

    def undo(self, command: lines.Command) -> Any:
        standing = self.standing.pop(command["uri"])
        return standing.unsubscribe() if hasattr(standing, "unsubscribe") else standing.unregister()

    def succeeded(self, command: lines.Command, result: Any) -> None:
        """Report what a command brought."""
        if command["do"] in ("subscribe", "register"):
            self.standing[command["uri"]] = result
            result = result.id
        elif command["do"] == "publish":
            result = result.id
        elif command["do"] == "call":
            # Autobahn returns one value, or none, as it is.
            if not isinstance(result, CallResult):
                result = CallResult(*([] if result is None else [result]))
            result = {"args": list(result.results), "kwargs": result.kwresults}
            if "partial" in command:
                result["progress"] = command["partial"]
        else:
            result = None
        lines.say(answer=command["id"], result=result)

    def failed(self, command: lines.Command, error: BaseException) -> None:
        """Report why a command was refused."""
        if not isinstance(error, ApplicationError):
            raise error
        lines.say(
            answer=command["id"],
            error={"uri": error.error, "args": list(error.args), "kwargs": error.kwargs},
        )
