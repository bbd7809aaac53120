import pytest

from heliograph.auth.saslprep import saslprep


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        # RFC 4013, section 3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # Spaces of all kinds, and what is combined.
        ("a\u00a0b", "a b"),
        ("u\u0308", "\u00fc"),
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
        # Younger than Unicode 3.2.
        ("\U0001f600", "\U0001f600"),
        ("", ""),
    ],
)
def test_text_is_brought_into_its_normal_form(text, normal):
    assert saslprep(text) == normal
    assert saslprep(normal) == normal


@pytest.mark.parametrize("text", ["\u0007", "a\u007fb", "\ud800", "\u200e", "\u2ff0", "\U000e0001"])
def test_characters_that_nobody_types_are_refused(text):
    with pytest.raises(ValueError, match="not allowed"):
        saslprep(text)


@pytest.mark.parametrize("text", ["\u0627\u0031", "\u0627a\u0628"])
def test_directions_are_not_mixed(text):
    with pytest.raises(ValueError, match="written from the right"):
        saslprep(text)
