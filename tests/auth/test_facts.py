"""What a transport knows of the other end."""

from heliograph.auth.facts import ConnectionFacts


def test_the_text_of_facts_holds_no_cookie() -> None:
    facts = ConnectionFacts(address="127.0.0.1", channel_ids={"tls-unique": b"s3cret"}, cookie="s3cret")

    assert "s3cret" not in f"{facts!r} {facts}"
    assert "127.0.0.1" in repr(facts)
