"""Autobahn for Python joins once and says who it has become.

Arguments: URL, realm, method, authid, secret (of cryptosign the private key in hexadecimal), asyncio or twisted.
"""

import importlib
import json
import sys

URL, REALM, METHOD, AUTHID, SECRET, FRAMEWORK = sys.argv[1:]
SECRET_NAMES = {"ticket": "ticket", "wampcra": "secret", "scram": "password", "cryptosign": "privkey"}


def say(report):
    """Report past Twisted, which takes what is printed for its log."""
    print(json.dumps(report), file=sys.__stdout__, flush=True)


module = importlib.import_module(f"autobahn.{FRAMEWORK}.component")
component = module.Component(
    transports=[{"type": "websocket", "url": URL, "max_retries": 0}],
    realm=REALM,
    authentication={METHOD: {"authid": AUTHID, SECRET_NAMES[METHOD]: SECRET}},
)


@component.on_join
def joined(session, details):
    """Say who it is, and leave."""
    say({"authid": details.authid, "authrole": details.authrole, "authmethod": details.authmethod})
    session.leave()


@component.on_leave
def left(_session, details):
    """Say why it is not let in."""
    if not details.reason.startswith("wamp.close."):
        say({"refused": details.reason})


module.run([component], log_level="critical")
