"""Heliograph's own client, beside the foreign ones.

Arguments: URL, realm, serializer, topic, procedures' prefix.
"""

import asyncio
import sys

import lines

from heliograph.client import ApplicationError, Invocation, Result, connect

URL, REALM, SERIALIZER, TOPIC, PREFIX = sys.argv[1:]


def echo(*args, **kwargs):
    return Result(list(args), kwargs)


def refuse(*args, **kwargs):
    uri, error_args, error_kwargs = lines.REFUSAL
    raise ApplicationError(uri, *error_args, **error_kwargs)


async def count(end: int, *, invocation: Invocation):
    for number in range(end):
        await invocation.progress(number)
    return end


def called(*, invocation: Invocation):
    return invocation.procedure


PROCEDURES = {"echo": echo, "refuse": refuse, "count": count, "called": called}


async def perform(session, standing, command):
    uri, match = command["uri"], command.get("match", "exact")
    match command["do"]:
        case "publish":
            return await session.publish_event(uri, command["args"], command["kwargs"], acknowledge=True)
        case "call" if command.get("progress"):
            call = session.call_progressive(uri, command["args"], command["kwargs"])
            partial = [[part] async for part in call]
            return {"args": [call.result], "kwargs": {}, "progress": partial}
        case "call":
            result = await session.call_procedure(uri, command["args"], command["kwargs"])
            return {"args": list(result.args), "kwargs": result.kwargs}
        case "subscribe":
            standing[uri] = (await session.subscribe(report, uri, match)).unsubscribe
        case "register":
            registered = await session.register(PROCEDURES[command["procedure"]], uri, match)
            standing[uri] = registered.unregister
        case "undo":
            await standing.pop(uri)()
    return None


def report(event):
    lines.say_event(event.topic, event.args, event.kwargs)


async def main():
    commands = asyncio.Queue()
    loop = asyncio.get_running_loop()
    standing = {}
    async with connect(URL, realm=REALM, serializers=[SERIALIZER]) as session:
        session.on_leave(lambda *_: lines.say(left=True))
        await session.subscribe(report, TOPIC)
        for name in ("echo", "refuse"):
            await session.register(PROCEDURES[name], f"{PREFIX}.{name}")
        lines.say(ready=f"wamp.2.{SERIALIZER}")
        lines.listen(lambda command: loop.call_soon_threadsafe(commands.put_nowait, command))
        while (command := await commands.get()) is not None:
            try:
                result = await perform(session, standing, command)
            except ApplicationError as error:
                lines.say(
                    answer=command["id"],
                    error={"uri": error.uri, "args": error.args_, "kwargs": error.kwargs_},
                )
            else:
                lines.say(answer=command["id"], result=result)


asyncio.run(main())
