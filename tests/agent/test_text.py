from __future__ import annotations

import pytest

from heliograph.agent.text import encodable, error_text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("/mnt/größe", "/mnt/größe"),
        ("/mnt/\udce9t\udce9", "/mnt/\N{REPLACEMENT CHARACTER}t\N{REPLACEMENT CHARACTER}"),
        ("\ud800", "\N{REPLACEMENT CHARACTER}"),
        ("x" * 300, "x" * 255),
    ],
)
def test_text_can_be_encoded_and_is_bounded(text: str, sent: str) -> None:
    assert encodable(text, max_characters=255) == sent
    sent.encode()


def test_an_error_is_one_bounded_line() -> None:
    assert error_text(ValueError("two\n  lines")) == "ValueError: two lines"
    assert error_text(TimeoutError()) == "TimeoutError"
    assert len(error_text(ValueError("x" * 10_000))) == 200
