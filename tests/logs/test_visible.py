"""What came from somewhere else can be seen, and can do nothing, wherever a person reads it."""

import json
import sys

import pytest

from heliograph.logs.visible import shortened, visible, visible_json, visible_lines

HIDDEN = {
    "escape": "\x1b[2J",
    "bell": "\a",
    "backspace": "\b",
    "nul": "\0",
    "delete": "\x7f",
    "one-octet CSI": "\x9b2J",
    "next line": "\x85",
    "line break": "\n",
    "carriage return": "\r",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "right-to-left override": "\u202e",
    "right-to-left isolate": "\u2067",
    "left-to-right mark": "\u200e",
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "soft hyphen": "\xad",
    "byte order mark": "\ufeff",
    "tag": "\U000e0041",
    "variation selector": "\ufe0f",
    "ancillary variation selector": "\U000e0101",
    "hangul filler": "\u3164",
    "braille blank": "\u2800",
    "combining grapheme joiner": "\u034f",
    "lone surrogate": "\udc9b",
    "private use": "\ue000",
    "no-break space": "\xa0",
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN.keys())
def test_what_hides_or_steers_is_written_as_its_escape(text: str) -> None:
    shown = visible(f"a{text}b")

    assert shown == f"a{text.encode('unicode_escape').decode()}b".replace("\\x1b[2J", "\\x1b[2J")
    assert shown.isprintable()
    assert visible(shown) == shown, "once is enough"


@pytest.mark.parametrize("text", ["plain", "tab\tbed", "Grüße", "時刻", "שלום", "a\\n", "🙂", ""])
def test_what_can_be_seen_stays(text: str) -> None:
    assert visible(text) is text or visible(text) == text


def test_no_character_but_the_tab_is_kept_that_is_not_printable() -> None:
    kept = {chr(code) for code in range(sys.maxunicode + 1) if visible(chr(code)) == chr(code)}

    assert {character for character in kept if not character.isprintable()} == {"\t"}


def test_lines_stay_lines_where_they_are_meant() -> None:
    assert visible_lines("one\ntwo\r\x1b") == "one\ntwo\\r\\x1b"


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN.keys())
def test_json_hides_nothing_and_means_the_same(text: str) -> None:
    value = {f"key{text}": [text, "Grüße"]}
    shown = visible_json(json.dumps(value, ensure_ascii=False))

    assert shown.isprintable()
    assert json.loads(shown) == value
    assert visible(shown) == shown
    assert "Grüße" in shown


def test_long_text_loses_its_middle_and_says_so() -> None:
    assert shortened("x" * 100, 100) == "x" * 100
    assert shortened("a" * 1_000_000 + "z", 100) == f"{'a' * 75} … (999901 characters left out) … {'a' * 24}z"
