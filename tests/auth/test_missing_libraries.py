"""Without PyNaCl and argon2-cffi everything else works, and what does not says what to install."""

import subprocess
import sys

import pytest

from heliograph.auth import cryptosign, scram_record
from heliograph.auth.errors import LibraryMissing
from heliograph.client import Cryptosign, JoinRefused, Scram, connect
from heliograph.wamp import messages as m
from tests.client.scripted_router import Peer, ScriptedRouter
from tests.support.credentials import PRIVATE_KEY

INSTALL = r"pip install 'heliograph\[auth\]'"


@pytest.fixture(autouse=True)
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let importing them fail."""
    for name in ("nacl", "argon2.exceptions", "argon2.low_level"):
        monkeypatch.setitem(sys.modules, name, None)


def test_cryptosign_says_so():
    for use in (
        cryptosign.check_installed,
        cryptosign.new_private_key,
        lambda: cryptosign.is_right("00" * 32, "00" * 32, "00" * 96),
        lambda: Cryptosign(PRIVATE_KEY),
    ):
        with pytest.raises(LibraryMissing, match=INSTALL):
            use()


def test_scram_says_so_for_argon2_only():
    with pytest.raises(LibraryMissing, match=INSTALL):
        scram_record.Record.make("pencil")
    assert scram_record.Record.make("pencil", kdf="pbkdf2", iterations=1).kdf == "pbkdf2"


async def test_a_client_that_cannot_answer_says_so():
    router = ScriptedRouter()

    def script(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Hello):
            assert message.details.authextra is not None
            nonce = message.details.authextra["nonce"] + "AAAA"
            challenge = {"nonce": nonce, "salt": "AAAAAAAAAAAAAAAA", "kdf": "argon2id13", "iterations": 2}
            peer.send(m.Challenge("wamp-scram", {**challenge, "memory": 8192}))

    router.script = script
    await router.start()
    try:
        with pytest.raises(JoinRefused, match=INSTALL):
            async with connect(router.url, authentication=Scram("joe", "pencil")):
                pass
    finally:
        await router.stop()


def test_they_are_not_loaded_before_they_are_used():
    program = "import sys; import heliograph.client.connecting; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"nacl", "argon2", "unicodedata", "stringprep"} & set(done.stdout.split())
