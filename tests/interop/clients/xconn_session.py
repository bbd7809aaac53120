"""What both of xconn's clients have in common: formats, commands to arguments, results to reports."""

from typing import Any

import lines
from wampproto.serializers import CBORSerializer, JSONSerializer, MsgPackSerializer
from xconn.exception import ApplicationError
from xconn.types import Event, Invocation, Result

SERIALIZERS = {"json": JSONSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}


def echo(invocation: Invocation) -> Result:
    """Return what was given."""
    return Result(invocation.args, invocation.kwargs)


def refuse(_invocation: Invocation) -> None:
    """Raise the error that the tests expect, as far as xconn hands it on: without its keyword payload."""
    uri, error_args, _ = lines.REFUSAL
    raise ApplicationError(uri, *error_args)


def called(invocation: Invocation) -> Result:
    """Return the procedure that was called."""
    return Result([invocation.details["procedure"]])


PROCEDURES = {"echo": echo, "refuse": refuse, "called": called}


def report(topic: str, event: Event) -> None:
    """Report an event of a topic, or of a pattern whose topic stands in its details."""
    lines.say_event((event.details or {}).get("topic", topic), event.args or [], event.kwargs or {})


def match_of(command: lines.Command) -> dict[str, Any]:
    """Return the options that say how a URI is to be matched."""
    return {"match": command["match"]} if "match" in command else {}


def result_of(result: Result) -> dict[str, Any]:
    """Return the result of a call as the tests want it."""
    return {"args": result.args or [], "kwargs": result.kwargs or {}}


def say_refused(command: lines.Command, error: ApplicationError) -> None:
    """Report why a command was refused."""
    lines.say(
        answer=command["id"],
        error={"uri": error.message, "args": list(error.args), "kwargs": error.kwargs},
    )
