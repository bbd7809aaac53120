"""Text that came from somewhere else, made fit for a terminal and for a log that is read line by line.

One rule for every log line, every error that is printed, and JSON on standard output: a character that is not printable
(control characters, line breaks, marks that turn the direction of writing, other format characters, lone surrogates),
or that shows nothing, is written as its escape.
"""

import re
from collections.abc import Callable

MAX_TEXT_CHARACTERS = 8 * 1024
"""Characters of one text that are shown."""

# Letters and marks that count as printable and show nothing (Unicode: Default_Ignorable_Code_Point, and U+2800).
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

_NAMED = {ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}


def visible(text: str) -> str:
    """Return `text` as one line in which every character can be seen; a tab stays."""
    return _escaped(text, "\t", _escape)


def visible_lines(text: str) -> str:
    """Return `text` likewise, with its line feeds, for what is made of lines: a traceback."""
    return _escaped(text, "\t\n", _escape)


def visible_json(text: str) -> str:
    """Return JSON that means the same as `text`, which is JSON on one line, and hides nothing."""
    # What is not printable stands within strings there, where JSON has an escape of its own (RFC 8259, section 7).
    return _escaped(text, "", _json_escape)


def shortened(text: str, most: int = MAX_TEXT_CHARACTERS) -> str:
    """Return `text`, without its middle when it has more than `most` characters."""
    if len(text) <= most:
        return text
    tail = most // 4
    return f"{text[: most - tail]} … ({len(text) - most} characters left out) … {text[-tail:]}"


def _escaped(text: str, kept: str, escape: Callable[[str], str]) -> str:
    if text.isprintable() and _BLANK.search(text) is None:
        return text
    return "".join(
        character
        if character in kept or (character.isprintable() and _BLANK.match(character) is None)
        else escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    # Not by a codec: it is loaded at its first use, which fails when no descriptor is left.
    code = ord(character)
    if code in _NAMED:
        return _NAMED[code]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _json_escape(character: str) -> str:
    code = ord(character)
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    above = code - 0x10000
    return f"\\u{0xD800 + (above >> 10):04x}\\u{0xDC00 + (above & 0x3FF):04x}"
