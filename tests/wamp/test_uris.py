"""URIs by the loose and the strict rules, in their three forms."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.wamp.errors import RequestError
from heliograph.wamp.uris import MAX_URI_BYTES, Match, UriCheck, is_reserved, matches_reserved

FORMS: tuple[Match, ...] = ("exact", "prefix", "wildcard")

TABLE = [
    # uri, loose exact/prefix/wildcard, strict exact/prefix/wildcard
    ("a", "yyy", "yyy"),
    ("com.example.topic1", "yyy", "yyy"),
    ("com.my_app.x", "yyy", "yyy"),
    ("com.Example", "yyy", "nnn"),
    ("com.exämple.☃", "yyy", "nnn"),
    ("com.my-app", "yyy", "nnn"),
    ("", "nyy", "nyy"),
    ("com.", "nyy", "nyy"),
    (".", "nny", "nny"),
    (".com", "nny", "nny"),
    ("com..topic", "nny", "nny"),
    ("com..topic.", "nny", "nny"),
    ("com.my app", "nnn", "nnn"),
    ("com.my\tapp", "nnn", "nnn"),
    ("com.topic\n", "nnn", "nnn"),
    ("com.\u00a0x", "nnn", "nnn"),
    ("com.#.topic", "nnn", "nnn"),
    ("#", "nnn", "nnn"),
]


@pytest.mark.parametrize(("uri", "loose", "strict"), TABLE, ids=[repr(row[0]) for row in TABLE])
def test_each_form_takes_what_the_specification_says(uri: str, loose: str, strict: str) -> None:
    for check, expected in ((UriCheck(), loose), (UriCheck(strict=True), strict)):
        assert "".join(_verdict(check, uri, form) for form in FORMS) == expected
        assert "".join(_verdict(check, uri, form) for form in FORMS) == expected  # remembered


def _verdict(check: UriCheck, uri: str, form: Match) -> str:
    try:
        check(uri, form)
    except RequestError as error:
        return "n" if error.uri == "wamp.error.invalid_uri" and error.arguments else "?"
    return "y"


@given(uri=st.text(st.sampled_from("ab.#_ A\n\u2028"), max_size=8))
def test_the_forms_agree_with_a_naive_reading(uri: str) -> None:
    components = uri.split(".")
    bad = any(re.search(r"[\s#]", component) for component in components)
    assert _verdict(UriCheck(), uri, "exact") == ("n" if bad or "" in components else "y")
    assert _verdict(UriCheck(), uri, "prefix") == ("n" if bad or "" in components[:-1] else "y")
    assert _verdict(UriCheck(), uri, "wildcard") == ("n" if bad else "y")


def test_a_uri_may_have_1024_bytes_and_no_more() -> None:
    UriCheck()("x" * MAX_URI_BYTES)
    for uri in ("x" * (MAX_URI_BYTES + 1), "ä" * (MAX_URI_BYTES // 2 + 1)):
        with pytest.raises(RequestError, match="1024 bytes"):
            UriCheck()(uri)


def test_a_refusal_shows_the_uri_and_stays_short() -> None:
    with pytest.raises(RequestError) as caught:
        UriCheck()("x" * 1_000_000)
    assert len(str(caught.value)) < 200


def test_what_is_remembered_is_bounded() -> None:
    check = UriCheck(remembered=10)
    for number in range(1000):
        check(f"topic.{number}")
    assert len(check._good) <= 10


def test_what_is_good_as_a_pattern_is_not_remembered_as_a_topic() -> None:
    check = UriCheck()
    check("com..topic", "wildcard")
    assert _verdict(check, "com..topic", "exact") == "n"


@pytest.mark.parametrize(
    ("uri", "reserved"),
    [("wamp", True), ("wamp.session.on_join", True), ("wamp.", True), ("wampy", False), ("a.wamp", False), ("", False)],
)  # fmt: skip
def test_what_begins_with_wamp_belongs_to_the_router(uri: str, *, reserved: bool) -> None:
    assert is_reserved(uri) is reserved


@given(
    pattern=st.text(st.sampled_from("wamp."), max_size=7),
    match=st.sampled_from(FORMS),
    rest=st.text(st.sampled_from("wamp."), max_size=4),
)
def test_a_pattern_matches_what_is_reserved_where_there_is_such_a_uri(
    pattern: str, match: Match, rest: str
) -> None:
    # Letters that matter, in all orders: a URI of the router, as like the pattern as one can be.
    if match == "exact":
        assert matches_reserved(pattern, match) is is_reserved(pattern)
    elif match == "prefix":
        uris = {f"wamp.{rest}", f"{pattern}{rest}", "wamp.", pattern}
        expected = any(uri.startswith("wamp.") and uri.startswith(pattern) for uri in uris)
        assert matches_reserved(pattern, match) is expected
    else:
        components = [component or "wamp" for component in pattern.split(".")]
        assert matches_reserved(pattern, match) is is_reserved(".".join(components))
