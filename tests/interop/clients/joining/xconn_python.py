"""xconn joins once and says who it has become.

Arguments: URL, realm, method, authid, secret (of cryptosign the private key in hexadecimal), sync or async.
"""

import asyncio
import json
import sys

from wampproto import auth
from wampproto.exception import ApplicationError
from xconn.async_client import AsyncClient
from xconn.client import Client

URL, REALM, METHOD, AUTHID, SECRET, FLAVOUR = sys.argv[1:]
AUTHENTICATORS = {
    "ticket": auth.TicketAuthenticator,
    "wampcra": auth.WAMPCRAAuthenticator,
    "cryptosign": auth.CryptoSignAuthenticator,
}


def say(session):
    """Say who it is."""
    details = session._base_session.session_details
    print(json.dumps({"authid": details.authid, "authrole": details.authrole, "authmethod": METHOD}))


async def join(authenticator):
    """Join with the client for asyncio."""
    session = await AsyncClient(authenticator=authenticator).connect(URL, REALM)
    say(session)
    await session.leave()


def main():
    authenticator = AUTHENTICATORS[METHOD](AUTHID, SECRET)
    try:
        if FLAVOUR == "async":
            asyncio.run(join(authenticator))
        else:
            session = Client(authenticator=authenticator).connect(URL, REALM)
            say(session)
            session.leave()
    except ApplicationError as error:
        print(json.dumps({"refused": error.message}))


main()
