"""Autobahn with asyncio.

Arguments: URL, realm, serializer, topic, procedures' prefix.
"""

import asyncio
import sys

import lines
from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from autobahn_session import PROCEDURES, Commands

SERIALIZERS = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}
URL, REALM, SERIALIZER, TOPIC, PREFIX = sys.argv[1:]


class Client(ApplicationSession):
    async def onJoin(self, details):  # noqa: N802 - Autobahn's name
        await self.subscribe(lambda *args, **kwargs: lines.say_event(TOPIC, args, kwargs), TOPIC)
        for name, procedure in PROCEDURES.items():
            await self.register(procedure, f"{PREFIX}.{name}")
        self.commands = Commands(self)
        lines.say(ready=self.commands.protocol)
        loop = asyncio.get_running_loop()
        lines.listen(lambda command: asyncio.run_coroutine_threadsafe(self.perform(command), loop))

    async def perform(self, command):
        if command is None:
            self.leave()
            return
        try:
            result = await self.commands.start(command)
        except ApplicationError as error:
            self.commands.failed(command, error)
        else:
            self.commands.succeeded(command, result)

    def onLeave(self, details):  # noqa: N802 - as above
        lines.say(left=True, reason=details.reason)
        self.disconnect()

    def onDisconnect(self):  # noqa: N802 - as above
        asyncio.get_running_loop().stop()


ApplicationRunner(URL, REALM, serializers=[SERIALIZERS[SERIALIZER]()]).run(Client)
