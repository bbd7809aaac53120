"""xconn's blocking client.

Arguments: URL, realm, serializer, topic, procedures' prefix.
"""

import sys
import threading

import lines
from xconn.client import Client
from xconn.exception import ApplicationError
from xconn_session import PROCEDURES, SERIALIZERS, match_of, report, result_of, say_refused

URL, REALM, SERIALIZER, TOPIC, PREFIX = sys.argv[1:]


def perform(session, standing, command):
    uri = command["uri"]
    match command["do"]:
        case "publish":
            session.publish(uri, command["args"], command["kwargs"], {"acknowledge": True})
        case "call":
            return result_of(session.call(uri, command["args"], command["kwargs"]))
        case "subscribe":
            subscribed = session.subscribe(uri, lambda event: report(uri, event), match_of(command))
            standing[uri] = subscribed.unsubscribe
        case "register":
            registered = session.register(uri, PROCEDURES[command["procedure"]], match_of(command))
            standing[uri] = registered.unregister
        case "undo":
            standing.pop(uri)()
    return None


def main():
    ended = threading.Event()
    standing = {}
    client = Client(serializer=SERIALIZERS[SERIALIZER]())
    session = client.connect(URL, REALM, disconnect_callback=lambda: (lines.say(left=True), ended.set()))
    session.subscribe(TOPIC, lambda event: report(TOPIC, event))
    for name in ("echo", "refuse"):
        session.register(f"{PREFIX}.{name}", PROCEDURES[name])
    # It offers one sub-protocol and does not say what it got.
    lines.say(ready=f"wamp.2.{SERIALIZER}")

    def take(command):
        if command is None:
            if not ended.is_set():
                session.leave()
            return
        try:
            result = perform(session, standing, command)
        except ApplicationError as error:
            say_refused(command, error)
        else:
            lines.say(answer=command["id"], result=result)

    lines.listen(take)
    ended.wait()


main()
