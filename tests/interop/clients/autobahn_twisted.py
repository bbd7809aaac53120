"""Autobahn in the style of the tutorial: a Twisted `Application` with decorators.

Arguments: URL, realm, serializer (`any`: Autobahn offers what it has), topic, procedure's prefix.
"""

import sys

import lines
import txaio
from autobahn.twisted.wamp import Application
from autobahn_session import PROCEDURES, Commands
from twisted.internet import reactor

URL, REALM, SERIALIZER, TOPIC, PREFIX = sys.argv[1:]
assert SERIALIZER == "any"

# Before `run` begins logging to standard output, which is the test's.
txaio.use_twisted()
txaio.start_logging(out=sys.stderr, level="info")

app = Application(PREFIX)


@app.subscribe(TOPIC)
def on_event(*args, **kwargs):
    lines.say_event(TOPIC, args, kwargs)


@app.register()
def echo(*args, **kwargs):
    return PROCEDURES["echo"](*args, **kwargs)


@app.register(f"{PREFIX}.refuse")
def refuse_everything(*args, **kwargs):
    PROCEDURES["refuse"]()


@app.signal("onjoined")
def on_joined():
    commands = Commands(app.session)

    def take(command):
        if command is None:
            app.session.leave()
            return
        deferred = commands.start(command)
        deferred.addCallbacks(
            lambda result: commands.succeeded(command, result),
            lambda failure: commands.failed(command, failure.value),
        )

    lines.say(ready=commands.protocol)
    lines.listen(lambda command: reactor.callFromThread(take, command))


@app.signal("onleave")
def on_leave():
    lines.say(left=True)


@app.signal("ondisconnect")
def on_disconnect():
    if reactor.running:
        reactor.stop()


app.run(url=URL, realm=REALM)
