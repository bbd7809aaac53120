import pytest

from heliograph.auth import ticket


class TestPlain:
    def test_ticket_is_right_when_it_is_the_same(self):
        assert ticket.is_right("s3cret", "s3cret")

    @pytest.mark.parametrize(
        "presented", ["", "s3cre", "s3cret ", "S3CRET", "ünicode", "\ud800", "x" * 100_000]
    )
    def test_ticket_is_wrong_when_it_is_another(self, presented):
        assert not ticket.is_right("s3cret", presented)

    def test_ticket_may_hold_any_text(self):
        assert ticket.is_right("päss $ wörd", "päss $ wörd")


class TestHashed:
    def test_ticket_is_right_when_it_is_the_same(self):
        stored = ticket.hash_ticket("s3cret")
        assert "s3cret" not in stored
        assert ticket.is_hashed(stored)
        assert ticket.is_right(stored, "s3cret")
        assert not ticket.is_right(stored, "s3cret2")

    def test_ticket_does_not_open_the_door_with_its_hash(self):
        stored = ticket.hash_ticket("s3cret")
        assert not ticket.is_right(stored, stored)

    def test_tickets_that_are_the_same_are_hashed_differently(self):
        assert ticket.hash_ticket("s3cret") != ticket.hash_ticket("s3cret")

    def test_form_is_stable(self):
        # printf '00112233445566778899aabbccddeeff$s3cret' | sha256sum
        assert ticket.hash_ticket("s3cret", salt="00112233445566778899aabbccddeeff") == (
            "sha256$00112233445566778899aabbccddeeff$"
            "65065c167a767413f8f6a26e582b1bbe46a56ed145f664b74b9b9850eae7b50b"
        )

    @pytest.mark.parametrize(
        "stored", ["sha256$", "sha256$abc$def", "sha256$00112233445566778899aabbccddeeff$XYZ"]
    )
    def test_form_that_is_damaged_is_no_ticket_either(self, stored):
        with pytest.raises(ValueError, match="heliograph secret ticket"):
            ticket.is_right(stored, stored)


def test_new_tickets_differ_and_are_long():
    assert ticket.new_ticket() != ticket.new_ticket()
    assert len(ticket.new_ticket()) >= 32
