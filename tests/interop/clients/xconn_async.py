"""xconn's client for asyncio.

Arguments: URL, realm, serializer, topic, procedures' prefix.
"""

import asyncio
import sys

import lines
from xconn.async_client import AsyncClient
from xconn.exception import ApplicationError
from xconn_session import PROCEDURES, SERIALIZERS, match_of, report, result_of, say_refused

URL, REALM, SERIALIZER, TOPIC, PREFIX = sys.argv[1:]


def reporter(topic):
    async def on_event(event):
        report(topic, event)

    return on_event


def procedure(name):
    async def on_invocation(invocation):
        return PROCEDURES[name](invocation)

    return on_invocation


async def perform(session, standing, command):
    uri = command["uri"]
    match command["do"]:
        case "publish":
            await session.publish(uri, command["args"], command["kwargs"], {"acknowledge": True})
        case "call":
            return result_of(await session.call(uri, command["args"], command["kwargs"]))
        case "subscribe":
            subscribed = await session.subscribe(uri, reporter(uri), match_of(command))
            standing[uri] = subscribed.unsubscribe
        case "register":
            registered = await session.register(uri, procedure(command["procedure"]), match_of(command))
            standing[uri] = registered.unregister
        case "undo":
            await standing.pop(uri)()
    return None


async def main():
    commands = asyncio.Queue()
    loop = asyncio.get_running_loop()
    standing = {}

    async def on_end():
        lines.say(left=True)
        commands.put_nowait(None)

    client = AsyncClient(serializer=SERIALIZERS[SERIALIZER]())
    session = await client.connect(URL, REALM, disconnect_callback=on_end)
    await session.subscribe(TOPIC, reporter(TOPIC))
    for name in ("echo", "refuse"):
        await session.register(f"{PREFIX}.{name}", procedure(name))
    # It offers one sub-protocol and does not say what it got.
    lines.say(ready=f"wamp.2.{SERIALIZER}")
    lines.listen(lambda command: loop.call_soon_threadsafe(commands.put_nowait, command))
    while (command := await commands.get()) is not None:
        try:
            result = await perform(session, standing, command)
        except ApplicationError as error:
            say_refused(command, error)
        else:
            lines.say(answer=command["id"], result=result)
    if await session._base_session.transport.is_connected():
        await session.leave()
        lines.say(left=True)


asyncio.run(main())
