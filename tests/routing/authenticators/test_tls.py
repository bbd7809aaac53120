"""The certificate of the TLS handshake tells who it is."""

import msgspec
import pytest

from heliograph.auth.facts import ClientCertificate, ConnectionFacts
from tests.support.door import DENIED, FAR_AWAY, Door, answers, refused, welcomed

SHA1, SHA256 = "ab" * 20, "cd" * 32
CERTIFICATE = ClientCertificate(sha1=SHA1, sha256=SHA256, subject="CN=agent-7,O=Example", der=b"")
COLONS = ":".join(["AB"] * 20)


def facts(**changed: str) -> ConnectionFacts:
    certificate = msgspec.structs.replace(CERTIFICATE, **changed)
    return msgspec.structs.replace(FAR_AWAY, certificate=certificate, is_encrypted=True)


def door_for(**principal: str) -> Door:
    joe = {"role": "frontend", **principal}
    return Door(
        {
            "tls": {"type": "static", "principals": {"joe": joe}},
            "ticket": {"type": "static", "principals": {"ann": {"ticket": "s3cret", "role": "backend"}}},
        }
    )


@pytest.mark.parametrize(
    "principal",
    [
        {"certificate-sha1": COLONS},
        {"certificate-sha256": SHA256.upper()},
        {"subject": "CN=agent-7,O=Example"},
    ],
)
def test_a_known_certificate_is_welcome_without_a_question(principal: dict[str, str]) -> None:
    door = door_for(**principal)
    _, answer = door.knock("tls", facts=facts())
    assert welcomed(answer) == ("joe", "frontend", "tls", "static")


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(FAR_AWAY, id="no certificate"),
        pytest.param(facts(sha256="00" * 32), id="another certificate"),
    ],
)
def test_another_is_refused_or_asked_by_the_next_method(shown: ConnectionFacts) -> None:
    door = door_for(**{"certificate-sha256": SHA256})
    assert refused(door.knock("tls", facts=shown)[1]) == DENIED
    pair, challenge = door.challenge("tls", "ticket", facts=shown, authid="ann")
    assert challenge.method == "ticket"
    assert welcomed(answers(pair, "s3cret"))[0] == "ann"


def test_a_certificate_is_that_of_one_authid() -> None:
    door = door_for(**{"certificate-sha256": SHA256})
    assert welcomed(door.knock("tls", facts=facts(), authid="joe")[1])[0] == "joe"
    assert refused(door.knock("tls", facts=facts(), authid="ann")[1]) == DENIED


def test_a_principal_of_another_realm_may_not_join() -> None:
    door = door_for(**{"certificate-sha256": SHA256, "realm": "elsewhere"})
    assert refused(door.knock("tls", facts=facts())[1]) == DENIED
