"""SASLprep: one spelling for names and passwords that look the same (RFC 4013, on RFC 3454's tables)."""


def saslprep(text: str) -> str:
    """Return `text` in its normal form.

    Characters that Unicode 3.2 did not have yet are let through, as RFC 3454 allows for queries: whoever types a
    password has nothing to compare it with.

    Raises:
        ValueError: `text` holds a character that is not allowed, or mixes directions of writing.
    """
    if text.isascii() and text.isprintable():
        return text
    # Tables of all of Unicode, which most clients never need.
    import stringprep
    from unicodedata import ucd_3_2_0

    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    normal = ucd_3_2_0.normalize("NFKC", mapped)
    prohibited = (
        stringprep.in_table_c12,
        stringprep.in_table_c21_c22,
        stringprep.in_table_c3,
        stringprep.in_table_c4,
        stringprep.in_table_c5,
        stringprep.in_table_c6,
        stringprep.in_table_c7,
        stringprep.in_table_c8,
        stringprep.in_table_c9,
    )
    if any(is_prohibited(character) for character in normal for is_prohibited in prohibited):
        raise ValueError("it holds a control character, or another one that is not allowed")
    # RFC 3454, section 6: right-to-left text is so from its first to its last character.
    if any(map(stringprep.in_table_d1, normal)):
        if any(map(stringprep.in_table_d2, normal)):
            raise ValueError("it mixes text written from the right with text written from the left")
        if not (stringprep.in_table_d1(normal[0]) and stringprep.in_table_d1(normal[-1])):
            raise ValueError("text written from the right must begin and end so")
    return normal
