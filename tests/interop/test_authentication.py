"""Clients of other people prove who they are, by every method they have; others cannot in their name."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.interop.conftest import CLIENTS, PACKAGES, REALM_NAME, missing
from tests.support.credentials import (
    CRA_SECRET,
    CRA_USER,
    CRYPTOSIGN_USER,
    HASHED_TICKET_USER,
    PRIVATE_KEY,
    SALTED_CRA_USER,
    SCRAM_PASSWORD,
    SCRAM_USERS,
    STRANGERS_KEY,
    TICKET,
    TICKET_USER,
    auth_config,
)
from tests.support.nodes import ALLOW_ALL, RouterProcess, node_config, router_process, web_transport

ROLE = "member"
DENIED = "wamp.error.authentication_denied"
REALM = {
    "name": REALM_NAME,
    "roles": [{"name": ROLE, "permissions": [{"uri": "", "match": "prefix", "allow": ALLOW_ALL}]}],
}


class Proof(NamedTuple):
    """A principal, its secret, and one that is not its own."""

    method: str
    authid: str
    secret: str
    wrong_secret: str = "guessed"


TICKETS = [Proof("ticket", TICKET_USER, TICKET), Proof("ticket", HASHED_TICKET_USER, TICKET)]
CRA = [Proof("wampcra", CRA_USER, CRA_SECRET), Proof("wampcra", SALTED_CRA_USER, CRA_SECRET)]
SCRAM = [Proof("scram", user.authid, SCRAM_PASSWORD) for user in SCRAM_USERS if user.method == "scram"]
CRYPTOSIGN = [Proof("cryptosign", CRYPTOSIGN_USER, PRIVATE_KEY.hex(), STRANGERS_KEY.hex())]

CLIENTS_AND_PROOFS = [
    (program, proof)
    for program, proofs in {
        "autobahn_python.py asyncio": [*TICKETS, *CRA, *SCRAM, *CRYPTOSIGN],
        "autobahn_python.py twisted": [*TICKETS, *CRA, *SCRAM, *CRYPTOSIGN],
        "autobahn_node.cjs": [*TICKETS, *CRA, *CRYPTOSIGN],
        "wampy_node.mjs": [*TICKETS, *CRA, *CRYPTOSIGN],
        "xconn_python.py sync": [*TICKETS, *CRA, *CRYPTOSIGN],
        "xconn_python.py async": [*TICKETS, *CRA, *CRYPTOSIGN],
    }.items()
    for proof in proofs
]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """A router that lets nobody in without a proof."""
    paths = {"ws": {"type": "websocket", "auth": auth_config(ROLE)}}
    config = node_config(web_transport(paths), realm=REALM)
    with router_process(tmp_path_factory.mktemp("door"), config) as running:
        yield running


def join(door: RouterProcess, program: str, method: str, authid: str, secret: str) -> dict[str, str]:
    """Let the client join; returns who it says it is, or why it was refused."""
    name, _, flavour = program.partition(" ")
    interpreter = sys.executable if name.endswith(".py") else shutil.which("node")
    if interpreter is None or not PACKAGES.is_dir():
        missing("Node or the packages of tests/interop are not installed")
    host, port = door.address
    url = f"ws://{host}:{port}/ws"
    command = [str(interpreter), str(CLIENTS / "joining" / name), url, REALM_NAME, method, authid, secret]
    done = subprocess.run(
        [*command, *filter(None, [flavour])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "NODE_PATH": str(PACKAGES)},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, (done.stdout, done.stderr)
    said: dict[str, str] = json.loads(lines[0])
    return said


@pytest.mark.parametrize(
    ("program", "proof"),
    CLIENTS_AND_PROOFS,
    ids=[f"{program}-{proof.authid}".replace(" ", "-") for program, proof in CLIENTS_AND_PROOFS],
)
def test_a_foreign_client_gets_in_with_its_secret_only(
    door: RouterProcess, program: str, proof: Proof
) -> None:
    method, authid, secret, wrong_secret = proof
    assert join(door, program, method, authid, secret) == {
        "authid": authid,
        "authrole": ROLE,
        "authmethod": method,
    }
    assert join(door, program, method, authid, wrong_secret) == {"refused": DENIED}
    # Who does not exist is asked like one of those who do, perhaps by a function that Autobahn cannot compute.
    gave_up = "wamp.error.cannot_authenticate" if method == "scram" else DENIED
    assert join(door, program, method, "nobody", secret)["refused"] in (DENIED, gave_up)
